"""Where a job comes from: the request and the trace that queued it."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from opentelemetry.trace import SpanKind, StatusCode, get_tracer
from pgqueuer import Job

from app.core.observability.line_formats import LINE_CONTEXT
from app.core.observability.requests import current_request
from app.core.observability.telemetry import PROPAGATOR, trace_headers

# The fields of the running job, in each line of the log.
_CURRENT: Final[ContextVar[dict[str, str] | None]] = ContextVar("job", default=None)


def _fields_of_lines() -> dict[str, str]:
    return _CURRENT.get() or {}


LINE_CONTEXT.append(_fields_of_lines)


def origin_headers() -> dict[str, str]:
    """Return the headers to queue a job with: the id of the request, and the trace."""
    # Without `tracestate`, up to 16 kB that the client chooses.
    headers = {name: value for name, value in trace_headers().items() if name == "traceparent"}
    request = current_request()
    request_id = request.id if request else _fields_of_lines().get("request_id")
    if request_id:
        headers["request_id"] = request_id
    return headers


@contextmanager
def continuing(job: Job) -> Generator[None]:
    """Run a job in the trace that queued it. Lines of the log name the job and the request.

    The lines do so until the task ends, because PGQueuer logs failures afterwards.
    """
    headers = {name: str(value) for name, value in (job.headers or {}).items()}
    fields = {"job": f"{job.entrypoint}/{job.id}"}
    if "request_id" in headers:
        fields["request_id"] = headers["request_id"]
    _CURRENT.set(fields)
    with get_tracer("app").start_as_current_span(
        f"process {job.entrypoint}",
        context=PROPAGATOR.extract(headers),
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "pgqueuer",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": job.entrypoint,
            "messaging.message.id": str(job.id),
        },
        record_exception=False,  # its message may quote a row
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise
