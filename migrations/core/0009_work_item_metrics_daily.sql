CREATE TABLE work_item_metrics_daily (
    tenant_id            uuid NOT NULL,
    project_key          text NOT NULL,
    day                  date NOT NULL,
    created              integer NOT NULL DEFAULT 0,
    resolved             integer NOT NULL DEFAULT 0,
    open                 integer NOT NULL DEFAULT 0,
    wip                  integer NOT NULL DEFAULT 0,
    avg_lead_time_hours  numeric,
    avg_cycle_time_hours numeric,
    PRIMARY KEY (tenant_id, project_key, day)
);

ALTER TABLE work_item_metrics_daily ENABLE ROW LEVEL SECURITY;
ALTER TABLE work_item_metrics_daily FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON work_item_metrics_daily
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT ON work_item_metrics_daily TO gatelodge_reader;
