"""What operators see of the service: logs, metrics, traces.

It may import the settings and `core/database/usage.py`. Other parts report to it through
`current_request()` and the events of libraries.
"""
