"""The visitors' book: rows that follow each other by hash within a tenant, written before and after what happens."""
