"""Bodies of requests and responses, and payloads of jobs. May import types of `app.core` only."""
