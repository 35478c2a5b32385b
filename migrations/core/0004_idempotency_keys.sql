CREATE TABLE idempotency_keys (
    tenant_id   uuid NOT NULL,
    tool        text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    state       text NOT NULL DEFAULT 'claimed' CHECK (state IN ('claimed', 'done', 'failed', 'unknown')),
    fence       bigint NOT NULL DEFAULT 1,
    lease_until timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    result      jsonb,
    request_id  text NOT NULL,
    PRIMARY KEY (tenant_id, tool, key)
);

CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
