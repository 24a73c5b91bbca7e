"""Passwords, tokens and audit events. Knows nothing of HTTP and of tables."""
