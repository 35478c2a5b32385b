/*
title = "Lead and cycle times"
description = """
Sums up how long resolved issues took, by project and team, over the last days. Use it to compare teams or to answer how long work
takes. Lead time runs from creation to resolution; cycle time from the first status change to resolution. Rows: project_key,
team (null for issues without one), resolved (issues), and avg_, median_ and p85_ of lead_time_hours and cycle_time_hours."""

[params.project_key]
type = "string"
description = "Key of a project, in capitals; all projects when left out."
optional = true
pattern = "[A-Z][A-Z0-9_]+"
max_length = 50
example = "SHOP"

[params.team]
type = "string"
description = "Name of a team; all teams when left out."
optional = true
min_length = 1
max_length = 100

[params.days]
type = "integer"
description = "How many days back to look for resolved issues, today included."
min = 1
max = 365
default = 90
example = 90
*/
WITH resolved AS (
    SELECT item.project_key, item.team,
           extract(epoch FROM item.resolved_at - item.created_at) / 3600 AS lead_hours,
           extract(epoch FROM item.resolved_at - (
               SELECT min(change.at)
                 FROM work_item_transitions AS change
                WHERE change.tenant_id = item.tenant_id
                  AND change.instance_id = item.instance_id
                  AND change.issue_key = item.issue_key
           )) / 3600 AS cycle_hours
      FROM work_items AS item
     WHERE item.resolved_at >= date_trunc('day', now(), 'UTC') - make_interval(days => :days - 1)
       AND (:project_key IS NULL OR item.project_key = :project_key)
       AND (:team IS NULL OR item.team = :team)
)
SELECT project_key, team, count(*) AS resolved,
       round(avg(lead_hours), 2)::float8 AS avg_lead_time_hours,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY lead_hours))::numeric, 2)::float8 AS median_lead_time_hours,
       round((percentile_cont(0.85) WITHIN GROUP (ORDER BY lead_hours))::numeric, 2)::float8 AS p85_lead_time_hours,
       round(avg(cycle_hours), 2)::float8 AS avg_cycle_time_hours,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY cycle_hours))::numeric, 2)::float8 AS median_cycle_time_hours,
       round((percentile_cont(0.85) WITHIN GROUP (ORDER BY cycle_hours))::numeric, 2)::float8 AS p85_cycle_time_hours
  FROM resolved
 GROUP BY project_key, team
 ORDER BY project_key, team
