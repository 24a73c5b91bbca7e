"""What operators see of the service: logs, metrics, traces.

Other parts report to it through `current_request()`, `note_outcome()` and the events of libraries.
"""
