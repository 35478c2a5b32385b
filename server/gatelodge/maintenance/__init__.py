"""What must be done now and then, and what the audit tells of the calls."""
