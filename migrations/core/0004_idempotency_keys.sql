-- Fences grow over all keys and all time, so that no late finisher can pass for the holder of a key that was freed and claimed anew.
CREATE SEQUENCE idempotency_fences;

CREATE TABLE idempotency_keys (
    tenant_id   uuid NOT NULL,
    tool        text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    state       text NOT NULL DEFAULT 'claimed' CHECK (state IN ('claimed', 'done', 'unknown')),
    fence       bigint NOT NULL DEFAULT nextval('idempotency_fences'),
    lease_until timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    result      json,
    request_id  text NOT NULL,
    PRIMARY KEY (tenant_id, tool, key)
);

CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
