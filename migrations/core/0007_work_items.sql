CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE work_items (
    tenant_id       uuid NOT NULL,
    instance_id     text NOT NULL,
    issue_key       text NOT NULL,
    project_key     text NOT NULL,
    issue_type      text NOT NULL,
    title           text NOT NULL,
    status          text NOT NULL,
    status_category text NOT NULL CHECK (status_category IN ('undefined', 'new', 'indeterminate', 'done')),
    priority        text,
    assignee        text,
    reporter        text,
    team            text,
    labels          text[] NOT NULL DEFAULT '{}',
    story_points    numeric,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    resolved_at     timestamptz,
    PRIMARY KEY (tenant_id, issue_key, instance_id)
);

CREATE INDEX work_items_project ON work_items (tenant_id, project_key, updated_at DESC);
CREATE INDEX work_items_assignee ON work_items (tenant_id, assignee);
CREATE INDEX work_items_resolved_at ON work_items (tenant_id, resolved_at) WHERE resolved_at IS NOT NULL;

-- Row-level security keeps a reader's query from this index until a superuser says that its functions tell nothing of a row
-- that is not shown: ALTER FUNCTION word_similarity_commutator_op(text, text) LEAKPROOF; and for <% word_similarity_op too.
CREATE INDEX work_items_title ON work_items USING gin (title gin_trgm_ops);

-- Unset and '' (what a setting is after the transaction that set it) both show nothing.
ALTER TABLE work_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE work_items FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON work_items
    USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid);
GRANT SELECT ON work_items TO gatelodge_reader;
