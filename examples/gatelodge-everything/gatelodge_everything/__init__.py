"""Every feature of MCP, once, as a Gatelodge plugin."""
