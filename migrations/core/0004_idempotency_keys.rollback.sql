DROP TABLE idempotency_keys;
DROP SEQUENCE idempotency_fences;
