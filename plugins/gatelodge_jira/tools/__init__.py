"""One module a tool: its schemas, its description for a model, and its handler."""
