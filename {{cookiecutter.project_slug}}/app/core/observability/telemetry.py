"""Traces and reports of errors. Their packages are optional, and imported only if a setting asks for it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.core.env_file import ConfigurationError
from app.core.observability.shutdown import ShutdownDeadline
from app.core.telemetry_settings import TelemetrySettings

if TYPE_CHECKING:
    from app.core.observability.tracing import Tracing

# Propagates traces. It does not read `baggage`, a text of the client's that would be passed on.
PROPAGATOR: Final = TraceContextTextMapPropagator()

# By default FastAPI's own telemetry is on as soon as anything configures a provider.
OFF: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}


def make_tracing(settings: TelemetrySettings) -> "Tracing | None":
    """Return what traces the service, or None if `OTEL_EXPORTER_OTLP_ENDPOINT` is not set.

    Raises `ConfigurationError` for variables that OpenTelemetry refuses.
    """
    if not settings.otel_exporter_otlp_endpoint:
        return None
    try:
        from app.core.observability.tracing import Tracing

        return Tracing(settings)
    except (ValueError, OSError) as error:
        # Of the many variables that OpenTelemetry reads itself; few are settings.
        raise ConfigurationError(f"OTEL_*: OpenTelemetry refuses a variable: {error}") from None


@asynccontextmanager
async def reporting_errors(
    settings: TelemetrySettings, deadline: ShutdownDeadline
) -> AsyncGenerator[None]:
    """Send unexpected errors to Sentry within the block, if `SENTRY_DSN` is set."""
    if not settings.sentry_dsn:
        yield
        return
    from app.core.observability.sentry import sending_to_sentry

    async with sending_to_sentry(settings, deadline):
        yield


def trace_headers() -> dict[str, str]:
    """Return the headers (`traceparent`) with which another service continues the current trace.

    Add them to calls to services of your own, not to those of third parties. There are none while
    tracing is off.
    """
    headers: dict[str, str] = {}
    PROPAGATOR.inject(headers)
    return headers
