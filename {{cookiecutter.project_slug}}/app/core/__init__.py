"""Shared by every layer: settings, types, pagination, and a package for each concern.

Must not import from the layers: routes, dependencies, services, repositories, schemas, models.
"""
