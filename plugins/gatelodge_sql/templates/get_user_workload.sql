/*
title = "Workload of a person"
description = """
Counts what is assigned to one person, by project and status. Use it before assigning more work, or to see where someone's work is
stuck. Without status it counts everything that is not done. Rows: project_key, status, issues, story_points, oldest_created_at,
last_updated_at."""

[params.assignee]
type = "string"
description = "Display name of the person, exactly as Jira writes it."
min_length = 1
max_length = 200
example = "Ada Novak"

[params.status]
type = "array"
description = "Names of the statuses to count; done ones too, when they are named here."
items = { type = "string", min_length = 1, max_length = 100 }
optional = true
min_length = 1
max_length = 50
example = ["In Progress"]
*/
SELECT project_key, status, count(*) AS issues, coalesce(sum(story_points), 0)::float8 AS story_points,
       min(created_at) AS oldest_created_at, max(updated_at) AS last_updated_at
  FROM work_items
 WHERE assignee = :assignee
   AND CASE WHEN :status IS NULL THEN status_category <> 'done' ELSE status = ANY(:status) END
 GROUP BY project_key, status
 ORDER BY project_key, status
