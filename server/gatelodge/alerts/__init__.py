"""Alerts on the calls of the last minutes: too many errors, too large a part of errors, too slow."""
