"""Metrics for Prometheus: what is measured, and where it is scraped.

`endpoint.py` is imported always, and the others only if metrics are on: they import
prometheus-client. All may import what the observability package may: of HTTP, the paths of requests
only (`app.core.http.paths`); import-linter enforces it.
"""
