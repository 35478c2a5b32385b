-- The role stays: another database of the cluster may need it.
SELECT 1;
