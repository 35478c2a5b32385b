"""MCP messages and revisions; no I/O."""
