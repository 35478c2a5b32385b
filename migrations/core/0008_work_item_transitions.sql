CREATE TABLE work_item_transitions (
    tenant_id   uuid NOT NULL,
    instance_id text NOT NULL,
    issue_key   text NOT NULL,
    from_status text NOT NULL,
    to_status   text NOT NULL,
    author      text,
    at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, issue_key, instance_id, at, from_status, to_status)
);

ALTER TABLE work_item_transitions ENABLE ROW LEVEL SECURITY;
ALTER TABLE work_item_transitions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON work_item_transitions
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT ON work_item_transitions TO gatelodge_reader;
