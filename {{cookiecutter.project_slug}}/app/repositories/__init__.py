"""All SQL, a module for each table. Repositories flush, and never commit.

May import models and `app.core`.
"""
