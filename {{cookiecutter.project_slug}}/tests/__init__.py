"""The tests. OpenTelemetry reads this variable of the developer when `conftest.py` imports it."""

import os

os.environ.pop("OTEL_PROPAGATORS", None)
