DROP TABLE call_metrics_daily;
DROP TABLE maintenance_runs;
