-- The role that SQL templates run as. Roles belong to the whole cluster: another database may have made it already, or be
-- making it at this moment. Where we may not make or grant roles, an administrator must have done both.
DO $$
DECLARE
    previous text := current_setting('role');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gatelodge_reader') THEN
        BEGIN
            CREATE ROLE gatelodge_reader NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    BEGIN
        GRANT gatelodge_reader TO CURRENT_USER;
    EXCEPTION WHEN unique_violation OR insufficient_privilege THEN
        NULL;
    END;
    PERFORM set_config('role', 'gatelodge_reader', true);
    PERFORM set_config('role', previous, true);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE insufficient_privilege USING MESSAGE = format(
        'an administrator must run: CREATE ROLE gatelodge_reader NOLOGIN; GRANT gatelodge_reader TO %I;', current_user
    );
END
$$;
