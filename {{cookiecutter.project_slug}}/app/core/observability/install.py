"""Logs, metrics and traces of an application, according to its settings."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi.telemetry import TelemetryConfig

from app.core.config import Settings
from app.core.database import Database
from app.core.observability.logs import queued_lines
from app.core.observability.metrics.endpoint import make_metrics
from app.core.observability.request_log import RequestLog
from app.core.observability.requests import RequestObserver
from app.core.observability.shutdown import ShutdownDeadline
from app.core.observability.telemetry import OFF, make_tracing, reporting_errors


class Observability:
    """What observes an application. `metrics` and `tracing` are None if they are off."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = make_metrics(settings)
        self.tracing = make_tracing(settings)
        self._settings = settings

    @property
    def telemetry(self) -> TelemetryConfig:
        """The telemetry of FastAPI itself."""
        return self.tracing.config if self.tracing else OFF

    @property
    def observers(self) -> list[RequestObserver]:
        """The observers of every request."""
        observers: list[RequestObserver | None] = [RequestLog(), self.metrics, self.tracing]
        return [observer for observer in observers if observer]

    @asynccontextmanager
    async def running(self, database: Database) -> AsyncGenerator[None]:
        """Observe the application and its database within the block, and then send what is left.

        Receivers that do not respond delay the end by `shutdown.SECONDS` at most, all together.
        """
        deadline = ShutdownDeadline()
        with queued_lines(deadline):
            async with AsyncExitStack() as stack:
                if self.metrics:
                    await stack.enter_async_context(self.metrics.running(database))
                    if port := self._settings.metrics_port:
                        from app.core.observability.metrics.port import serve_metrics

                        stack.enter_context(serve_metrics(self.metrics, port))
                if self.tracing:
                    await stack.enter_async_context(self.tracing.running(deadline))
                await stack.enter_async_context(reporting_errors(self._settings, deadline))
                yield
