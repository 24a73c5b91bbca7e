"""Background jobs, kept in PostgreSQL by PGQueuer.

Knows nothing of HTTP; import-linter enforces it. `origin.py` asks the observability package for the running request.
"""
