"""What surrounds every handler: the edge, limits, errors as clients see them, headers.

May use the database package and the settings; no service and no route.
"""
