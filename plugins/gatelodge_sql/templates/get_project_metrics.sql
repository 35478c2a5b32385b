/*
title = "Daily metrics of a project"
description = """
Gives one row for each of the last days of a project, today included, oldest first. Use it for trends: throughput, backlog growth, work in
progress, lead and cycle time. Rows: day, created and resolved (issues that day), open and wip (at the end of the day),
avg_lead_time_hours and avg_cycle_time_hours (of the issues resolved that day; null when there were none). Days are UTC."""

[params.project_key]
type = "string"
description = "Key of the project, in capitals."
pattern = "[A-Z][A-Z0-9_]+"
max_length = 50
example = "SHOP"

[params.days]
type = "integer"
description = "How many days back, today included."
min = 1
max = 365
default = 30
example = 30
*/
SELECT day, created, resolved, open, wip,
       avg_lead_time_hours::float8 AS avg_lead_time_hours, avg_cycle_time_hours::float8 AS avg_cycle_time_hours
  FROM work_item_metrics_daily
 WHERE project_key = :project_key
   AND day > (now() AT TIME ZONE 'UTC')::date - :days
 ORDER BY day
