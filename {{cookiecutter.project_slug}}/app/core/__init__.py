"""Shared by every layer: settings, types, pagination, and a package for each concern."""
