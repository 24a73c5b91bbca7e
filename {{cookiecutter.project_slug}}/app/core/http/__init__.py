"""HTTP around the handlers: the edge, limits, error responses, headers.

May import the database and observability packages and the settings, but no services and no routes.
"""
