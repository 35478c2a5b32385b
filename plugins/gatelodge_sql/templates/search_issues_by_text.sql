/*
title = "Issues with a similar title"
description = """
Finds issues whose title contains words like the given ones, misspellings included, in the named projects; the closest first. Use it
when you know roughly what an issue is called but not its key. Rows: issue_key, title, project_key, issue_type, status, assignee,
updated_at and similarity (0.45 to 1; 1 when the words stand in the title as given)."""

[params.query]
type = "string"
description = "A few words of the title."
min_length = 1
max_length = 200
example = "checkout timeout"

[params.project_keys]
type = "array"
description = "Keys of the projects to look in."
items = { type = "string", pattern = "[A-Z][A-Z0-9_]+", max_length = 50 }
min_length = 1
max_length = 50
example = ["SHOP"]

[params.limit]
type = "integer"
description = "How many issues to answer at once."
min = 1
max = 100
default = 20
*/
SELECT issue_key, title, project_key, issue_type, status, assignee, updated_at,
       word_similarity(:query, title)::float8 AS similarity
  FROM work_items
 WHERE :query OPERATOR(<%) title
   AND project_key = ANY(:project_keys)
 ORDER BY similarity DESC, issue_key, instance_id
