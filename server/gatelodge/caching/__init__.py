"""Results of read-only tools, kept for a while: what an entry is, and the places where entries are kept."""
