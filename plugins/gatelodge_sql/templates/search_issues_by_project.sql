/*
title = "Issues of a project"
description = """
Lists the issues of one project, the most recently updated first, optionally only those of a status, assignee or priority.
Use it to browse or filter issues from the analytics tables; use jira.search for live data or for other conditions.
Rows: issue_key, title, issue_type, status, priority, assignee, team, story_points, created_at, updated_at, resolved_at."""

[params.project_key]
type = "string"
description = "Key of the project, in capitals."
pattern = "[A-Z][A-Z0-9_]+"
max_length = 50
example = "SHOP"

[params.status]
type = "string"
description = "Name of a status, exactly as Jira writes it."
optional = true
min_length = 1
max_length = 100
example = "In Progress"

[params.assignee]
type = "string"
description = "Display name of the assignee, exactly as Jira writes it."
optional = true
min_length = 1
max_length = 200

[params.priority]
type = "string"
description = "Name of a priority, such as High."
optional = true
min_length = 1
max_length = 50

[params.limit]
type = "integer"
description = "How many issues to answer at once."
min = 1
max = 100
default = 50
*/
SELECT issue_key, title, issue_type, status, priority, assignee, team, story_points::float8 AS story_points,
       created_at, updated_at, resolved_at
  FROM work_items
 WHERE project_key = :project_key
   AND (:status IS NULL OR status = :status)
   AND (:assignee IS NULL OR assignee = :assignee)
   AND (:priority IS NULL OR priority = :priority)
 ORDER BY updated_at DESC, issue_key DESC, instance_id
