DROP TABLE audit_anchors;
DROP TABLE audit_heads;
DROP TABLE audit_logs;
DROP FUNCTION audit_logs_create_partition(date);
DROP FUNCTION audit_logs_refuse_change();
