"""Failures that nobody foresaw, sent to where the operator collects them: an address of theirs, Sentry, or both."""
