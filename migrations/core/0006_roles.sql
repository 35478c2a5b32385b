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
        FOR attempt IN 1..100 LOOP
            BEGIN
                -- A lock that is taken anew is what makes this session hear of roles that others have just made.
                PERFORM FROM pg_auth_members LIMIT 1;
                BEGIN
                    EXECUTE format('GRANT %I TO CURRENT_USER', role);
                EXCEPTION WHEN unique_violation OR insufficient_privilege THEN
                    NULL;
                END;
                PERFORM set_config('role', role, true);
                PERFORM set_config('role', previous, true);
                EXIT;
            EXCEPTION WHEN undefined_object OR invalid_parameter_value THEN
                IF attempt = 100 THEN
                    RAISE;
                END IF;
                PERFORM pg_sleep(0.05);
            END;
        END LOOP;
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
