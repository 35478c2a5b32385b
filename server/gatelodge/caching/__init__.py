"""Results of read-only tools, kept for a while."""
