DROP TABLE work_item_metrics_daily;
