"""Traces by OpenTelemetry: FastAPI's span for each request, and one below it for each statement.

Imported only if tracing is on (`app.core.observability.telemetry`).
"""

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

from fastapi.telemetry import TelemetryConfig
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    SpanContext,
    SpanKind,
    StatusCode,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_tracer_provider,
)
from sqlalchemy import URL
from starlette.types import Scope

from app import __title__, __version__
from app.core.database.usage import STATEMENT_OBSERVERS
from app.core.http.paths import PROBES, route_path
from app.core.observability.line_formats import LINE_CONTEXT
from app.core.observability.repeated_lines import once_a_minute
from app.core.observability.requests import RequestRecord
from app.core.observability.shutdown import ShutdownDeadline
from app.core.observability.telemetry import OFF, PROPAGATOR
from app.core.telemetry_settings import TelemetrySettings

_LONGEST: Final = 2000  # characters of a path or a statement

_TABLE: Final = re.compile(r'\b(?:FROM|INTO|UPDATE)\s+("?[\w.]+"?)', re.IGNORECASE)

_request_span: Final[ContextVar[SpanContext]] = ContextVar(
    "span_context", default=INVALID_SPAN_CONTEXT
)


class Tracing:
    """Makes spans, and sends them while it is running. `config` is for FastAPI, which traces requests.

    As an observer of requests it notes their ids in the spans. It also remembers the span for the
    server's line about an error, which is logged after the span has ended.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        os.environ.update(settings.otel_variables)  # the only place where OpenTelemetry reads them
        os.environ.setdefault("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(_LONGEST))
        defaults = Resource({"service.name": __title__, "service.version": __version__})
        resource = Resource.create().merge(defaults).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(_WithoutQuery())
        self._exporter = OTLPSpanExporter()
        # Only for `app check`: it reads the variables OTEL_BSP_*. The one that sends is created when the service
        # runs.
        BatchSpanProcessor(SpanExporter()).shutdown()  # type: ignore[no-untyped-call]
        self._tracer = self._provider.get_tracer("app", __version__)
        self.config: TelemetryConfig = {
            **OFF,
            "tracing": True,
            "tracer_provider": self._provider,
            "operation_spans": False,  # they are many (see docs/decisions/0013)
            "exclude": _is_probe,
        }

    def started(self, record: RequestRecord) -> None:
        """Note the id of the request in its span."""
        span = get_current_span()
        _request_span.set(span.get_span_context())
        span.set_attribute("http.response.header.x-request-id", [record.id])

    def finished(self, record: RequestRecord) -> None:
        """Do nothing: FastAPI has ended the span."""

    def statement_ended(
        self, statement: str, seconds: float, error: BaseException | None, server: URL
    ) -> None:
        """Make a span of a statement that ran in a trace. Others, such as those of probes, have none."""
        if not get_current_span().get_span_context().trace_flags.sampled:
            return
        end = time.time_ns()
        operation, summary = _summary(statement)
        span = self._tracer.start_span(
            summary,
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": "postgresql",
                "db.namespace": server.database or "",
                "db.operation.name": operation,
                "db.query.text": statement,
                "server.address": server.host or "",
                "server.port": server.port or 5432,
            },
            start_time=end - int(seconds * 1e9),
        )
        if error:
            # Not its message, which may quote a row.
            sqlstate = getattr(error, "sqlstate", None)
            span.set_attribute("error.type", sqlstate or type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
        span.end(end)

    @asynccontextmanager
    async def running(self, deadline: ShutdownDeadline) -> AsyncGenerator[None]:
        """Send spans within the block, and at its end those that are left."""
        set_global_textmap(PROPAGATOR)  # FastAPI's
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        set_tracer_provider(self._provider)  # for spans of the project's own code
        STATEMENT_OBSERVERS.append(self.statement_ended)
        LINE_CONTEXT.append(_ids_of_trace)
        with once_a_minute(OTLPSpanExporter.__module__):  # it logs several lines for each attempt
            try:
                yield
            finally:
                STATEMENT_OBSERVERS.remove(self.statement_ended)
                LINE_CONTEXT.remove(_ids_of_trace)
                await asyncio.to_thread(_shut_down, self._provider, self._exporter, deadline)


def _shut_down(
    provider: TracerProvider, exporter: OTLPSpanExporter, deadline: ShutdownDeadline
) -> None:
    """Send the spans that are left, but do not wait for a collector that does not respond.

    The processor itself waits for 30 seconds, so it does that in a thread that is left behind.
    """
    thread = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
    thread.start()
    thread.join(deadline.share())
    if thread.is_alive():
        exporter.shutdown()  # type: ignore[no-untyped-call]  # makes no further attempt
        thread.join(deadline.share())


class _WithoutQuery(SpanProcessor):
    """Hides the query of a URL, whose values may be secrets or personal data."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        if span.attributes and "url.query" in span.attributes:
            span.set_attribute("url.query", "REDACTED")


def _is_probe(scope: Scope) -> bool:
    return route_path(scope) in PROBES


def _ids_of_trace() -> dict[str, object]:
    """Return the fields of a line of the log that name its trace."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        context = _request_span.get()
    if not context.is_valid:
        return {}
    return {
        "trace_id": format_trace_id(context.trace_id),
        "span_id": format_span_id(context.span_id),
    }


def _summary(statement: str) -> tuple[str, str]:
    """Return what a statement does, and to which table: `SELECT`, `SELECT users`."""
    words = statement.split(maxsplit=1)
    operation = words[0].upper() if words else ""
    table = _TABLE.search(statement, 0, _LONGEST)
    return operation, f"{operation} {table[1]}" if table else operation
