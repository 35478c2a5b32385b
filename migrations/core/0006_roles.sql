-- The role that SQL templates run as, and the one that writes the audit. Roles belong to the whole cluster: another database
-- may have made them already, or be making them at this moment. Where we may not make or grant roles, an administrator must
-- have done both.
DO $$
DECLARE
    previous text := current_setting('role');
    role     text;
BEGIN
    FOREACH role IN ARRAY ARRAY['gatelodge_reader', 'gatelodge_recorder'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
        BEGIN
            EXECUTE format('GRANT %I TO CURRENT_USER', role);
        EXCEPTION WHEN unique_violation OR insufficient_privilege THEN
            NULL;
        END;
        PERFORM set_config('role', role, true);
        PERFORM set_config('role', previous, true);
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE insufficient_privilege USING MESSAGE = format(
        'an administrator must run: CREATE ROLE gatelodge_reader NOLOGIN; CREATE ROLE gatelodge_recorder NOLOGIN; '
        'GRANT gatelodge_reader, gatelodge_recorder TO %I;', current_user
    );
END
$$;

-- The recorder adds to the audit and moves its heads; it can neither change a row nor take one away.
GRANT SELECT, INSERT ON audit_logs TO gatelodge_recorder;
GRANT SELECT, INSERT, UPDATE ON audit_heads TO gatelodge_recorder;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO gatelodge_recorder;
GRANT USAGE ON SEQUENCE idempotency_fences TO gatelodge_recorder;
GRANT EXECUTE ON FUNCTION audit_logs_create_partition(date) TO gatelodge_recorder;
