"""Jira for Gatelodge: eight tools over Cloud REST v3 and Data Center REST v2."""
