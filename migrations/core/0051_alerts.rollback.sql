DROP TABLE alerts;
DROP TABLE call_windows;
