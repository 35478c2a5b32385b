"""The database as a file, and back."""
