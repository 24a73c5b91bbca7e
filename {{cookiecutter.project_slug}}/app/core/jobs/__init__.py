"""Background jobs, kept in PostgreSQL by PGQueuer.

May import the database package and the settings, but nothing of HTTP; import-linter enforces it.
"""
