"""Background jobs, kept in PostgreSQL by PGQueuer.

May import the settings, the database and observability packages, and nothing of HTTP; import-linter
enforces it.
"""
