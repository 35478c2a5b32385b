-- What operators are told of: written in the transaction that makes it true, and taken to the receiver by whichever server
-- comes first, oldest first. `due_at` is when it may be tried; whoever tries moves it on, so that no other does meanwhile.
CREATE TABLE webhook_messages (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL UNIQUE,
    type       text NOT NULL,
    text       text NOT NULL,
    data       jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at     timestamptz NOT NULL DEFAULT now(),
    attempts   integer NOT NULL DEFAULT 0,
    error      text,
    settled_at timestamptz,
    outcome    text CHECK (outcome IN ('delivered', 'expired'))
);

CREATE INDEX webhook_messages_waiting ON webhook_messages (seq) WHERE settled_at IS NULL;

CREATE TRIGGER webhook_messages_added AFTER INSERT ON webhook_messages
    FOR EACH ROW EXECUTE FUNCTION notify_change('gatelodge_webhook_messages', 'id');
