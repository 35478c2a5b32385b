-- Rows are numbered and chained by hash within a tenant. A partitioned table's key must hold the partition column.
-- The JSON columns keep the text they were given: the hash is over it, and jsonb would write it anew.
CREATE TABLE audit_logs (
    tenant_id       uuid NOT NULL,
    seq             bigint NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    kind            text NOT NULL CHECK (kind IN ('intent', 'outcome', 'event')),
    request_id      text NOT NULL,
    trace           text,
    user_id         text,
    auth_method     text,
    key_id          text,
    address         inet,
    door            text,
    tool            text,
    action          text,
    outcome         text,
    arguments       json,
    before          json,
    after           json,
    detail          json,
    duration_ms     double precision,
    idempotency_key text,
    prev_hash       bytea,
    hash            bytea,
    PRIMARY KEY (tenant_id, seq, created_at)
) PARTITION BY RANGE (created_at);

-- Where each tenant's chain ends. Whoever writes locks the row, so replicas take turns; a chain cut short no longer reaches it.
CREATE TABLE audit_heads (
    tenant_id  uuid PRIMARY KEY,
    seq        bigint NOT NULL,
    hash       bytea NOT NULL,
    created_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Where a chain stood: kept when old months are dropped, so that what is left can still be verified.
CREATE TABLE audit_anchors (
    tenant_id  uuid NOT NULL,
    seq        bigint NOT NULL,
    hash       bytea NOT NULL,
    created_at timestamptz NOT NULL,
    reason     text NOT NULL CHECK (reason IN ('anchor', 'prune')),
    signed_at  timestamptz NOT NULL DEFAULT now(),
    public_key bytea,
    signature  bytea,
    PRIMARY KEY (tenant_id, seq, reason)
);

CREATE INDEX audit_logs_created_at ON audit_logs (tenant_id, created_at);
CREATE INDEX audit_logs_request_id ON audit_logs (request_id);

CREATE FUNCTION audit_logs_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_logs is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Postgres gives a row trigger to every partition, but a TRUNCATE trigger only to the table it is made on.
CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION audit_logs_refuse_change();
CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse_change();

-- Makes the partition of the month (in UTC) that a day lies in, unless it is there; answers its name.
-- It runs as the owner: a server's own role needs no right to make tables.
CREATE FUNCTION audit_logs_create_partition(day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    first     timestamp := date_trunc('month', day::timestamp);
    partition text := 'audit_logs_' || to_char(first, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_logs_create_partition'));
    IF to_regclass(partition) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF audit_logs FOR VALUES FROM (%L) TO (%L)',
            partition, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC'
        );
        EXECUTE format(
            'CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse_change()',
            partition
        );
    END IF;
    RETURN partition;
END
$$;

REVOKE EXECUTE ON FUNCTION audit_logs_create_partition(date) FROM PUBLIC;

SELECT audit_logs_create_partition((now() AT TIME ZONE 'UTC')::date);
SELECT audit_logs_create_partition((now() AT TIME ZONE 'UTC' + interval '1 month')::date);
