"""The SQL plugin: every query template is a tool, read-only and seen through the caller's tenant."""
