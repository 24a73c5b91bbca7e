"""Background jobs, kept in PostgreSQL by PGQueuer.

Knows nothing of HTTP; import-linter enforces it.
"""
