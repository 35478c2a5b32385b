-- When each chore was last done, by whichever replica did it, so that all of them together do it once.
CREATE TABLE maintenance_runs (
    name        text PRIMARY KEY,
    finished_at timestamptz NOT NULL DEFAULT now(),
    ok          boolean NOT NULL,
    detail      text NOT NULL
);

-- Calls by day, kept when the audit's old months are dropped. `errors` counts what is not ok, replayed or a question.
CREATE TABLE call_metrics_daily (
    day       date NOT NULL,
    tenant_id uuid NOT NULL,
    tool      text NOT NULL,
    calls     bigint NOT NULL,
    errors    bigint NOT NULL,
    p50_ms    double precision,
    p95_ms    double precision,
    max_ms    double precision,
    PRIMARY KEY (day, tenant_id, tool)
);
