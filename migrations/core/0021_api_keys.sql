-- `hash` is the SHA-256 of the whole key. A NULL allow-list allows all. `changed_at` leaves out the last use.
CREATE TABLE api_keys (
    id           text PRIMARY KEY CHECK (id <> ''),
    tenant_id    uuid NOT NULL,
    user_id      text NOT NULL CHECK (user_id <> ''),
    hash         bytea NOT NULL CHECK (length(hash) = 32),
    scopes       text[] NOT NULL,
    tools        text[],
    resources    text[],
    prompts      text[],
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    rotated_from text REFERENCES api_keys (id)
);

CREATE INDEX api_keys_tenant ON api_keys (tenant_id, created_at);
CREATE INDEX api_keys_changed_at ON api_keys (changed_at);

CREATE FUNCTION api_keys_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TRIGGER api_keys_stamp
    BEFORE UPDATE OF tenant_id, user_id, hash, scopes, tools, resources, prompts, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION api_keys_stamp();
CREATE TRIGGER api_keys_changed
    AFTER INSERT OR DELETE
    OR UPDATE OF tenant_id, user_id, hash, scopes, tools, resources, prompts, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION notify_change('gatelodge_api_keys', 'id');
