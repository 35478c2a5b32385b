-- Who may do what in Gatelodge's database. Run it as a superuser, in that database, before the first `gatelodge migrate up`
-- and again after each one: psql -d gatelodge -f etc/postgres/roles.sql. It may run any number of times.
-- It sets no passwords: \password gatelodge_owner, and so on.
--
--   gatelodge_owner     owns the tables: gatelodge migrate up, gatelodge restore, and the chore that archives the audit's old months
--   gatelodge_server    gatelodge serve: reads and writes what it serves; adds to the audit, and can neither change nor
--                       take away a row of it; makes no tables
--   gatelodge_backup    gatelodge backup (GATELODGE_BACKUP_URL): reads every row, also past row-level security
--   gatelodge_reader    nobody logs in as it: what SQL templates become inside their read-only transactions
--   gatelodge_recorder  nobody logs in as it: what the audit's writer becomes

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['owner', 'server', 'backup', 'reader', 'recorder'] LOOP
        IF to_regrole('gatelodge_' || role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', 'gatelodge_' || role);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE gatelodge_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
ALTER ROLE gatelodge_server LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
ALTER ROLE gatelodge_backup LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS;
ALTER ROLE gatelodge_server SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE gatelodge_backup SET default_transaction_read_only = on;

-- The owner has to be in both before it can grant rights to them, the server to become them.
GRANT gatelodge_reader, gatelodge_recorder TO gatelodge_owner, gatelodge_server;
GRANT pg_read_all_data TO gatelodge_backup;

DO $$
DECLARE
    name text;
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO gatelodge_owner', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO gatelodge_server', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO gatelodge_backup', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT CREATE, USAGE ON SCHEMA public TO gatelodge_owner;
    GRANT USAGE ON SCHEMA public TO gatelodge_server, gatelodge_reader, gatelodge_recorder, gatelodge_backup;

    -- Whatever an earlier version of this file, or a hand, has given is taken back first.
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM gatelodge_server;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM gatelodge_server;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO gatelodge_server;
    FOREACH name IN ARRAY ARRAY[
        'alerts', 'api_keys', 'call_metrics_daily', 'call_windows', 'idempotency_keys', 'jira_instances', 'maintenance_runs',
        'settings', 'tenants', 'tool_pins', 'webhook_messages', 'work_items', 'work_item_metrics_daily',
        'work_item_transitions'
    ] LOOP
        IF to_regclass(name) IS NOT NULL THEN
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %I TO gatelodge_server', name);
        END IF;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['audit_logs', 'audit_heads', 'audit_anchors'] LOOP
        IF to_regclass(name) IS NOT NULL THEN
            EXECUTE format('GRANT INSERT ON %I TO gatelodge_server', name);
        END IF;
    END LOOP;
    IF to_regclass('audit_heads') IS NOT NULL THEN
        GRANT UPDATE ON audit_heads TO gatelodge_server;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO gatelodge_server;
    END IF;
END
$$;
