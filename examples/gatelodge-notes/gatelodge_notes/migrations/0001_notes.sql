CREATE TABLE notes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    topic      text NOT NULL,
    text       text NOT NULL,
    author     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    written_by text UNIQUE
);

CREATE INDEX notes_topic ON notes (tenant_id, topic, id DESC);
COMMENT ON COLUMN notes.written_by IS 'The call with an idempotency key that wrote it, as a digest';
