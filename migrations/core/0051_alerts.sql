-- What each server counted of the calls of its last minutes: alerts are about all servers together. A server that has not
-- said anything for a while is gone.
CREATE TABLE call_windows (
    replica text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now(),
    calls   bigint NOT NULL,
    faults  bigint NOT NULL,
    slow    bigint NOT NULL
);

-- Which alerts fire, so that all servers together tell of each change once, and a restart forgets none.
CREATE TABLE alerts (
    name       text PRIMARY KEY,
    firing     boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
