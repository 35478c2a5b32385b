-- The roles stay: another database of the cluster may need them. What the recorder may do goes with its tables.
SELECT 1;
