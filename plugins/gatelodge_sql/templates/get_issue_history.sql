/*
title = "Status history of an issue"
description = """
Lists the status changes of one issue, oldest first. Use it to see how an issue went through its workflow, who moved it, and where it
waited. Rows: at, from_status, to_status, author, and hours_in_from_status (how long it had been in the status it left)."""

[params.issue_key]
type = "string"
description = "Key of the issue."
pattern = "[A-Z][A-Z0-9_]+-[1-9][0-9]*"
max_length = 80
example = "SHOP-42"

[params.limit]
type = "integer"
description = "How many changes to answer at once."
min = 1
max = 500
default = 100
*/
SELECT change.at, change.from_status, change.to_status, change.author,
       round(extract(epoch FROM change.at - coalesce(
           lag(change.at) OVER (PARTITION BY change.instance_id ORDER BY change.at, change.to_status), item.created_at
       )) / 3600, 2)::float8 AS hours_in_from_status
  FROM work_item_transitions AS change
  LEFT JOIN work_items AS item USING (tenant_id, instance_id, issue_key)
 WHERE issue_key = :issue_key
 ORDER BY change.at, change.to_status, instance_id
