"""Jira for Gatelodge."""
