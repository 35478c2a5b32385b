"""A server as processes of the operating system: its start, its reload and its end."""
