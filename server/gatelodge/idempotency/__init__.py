"""A write that is sent twice happens once: its key is claimed in Postgres before anything goes upstream."""
