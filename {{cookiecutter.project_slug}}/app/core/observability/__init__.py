"""What operators see of the service: logs, metrics, traces.

Other parts report to it through `current_request()`, `note_outcome()` and the events of libraries.
May import the database package, the settings and, of HTTP, the paths of requests only
(`app.core.http.paths`), because HTTP reports to it; import-linter enforces it.
"""
