DROP TABLE audit_logs;
DROP FUNCTION audit_logs_create_partition(date);
DROP FUNCTION audit_logs_refuse_change();
