"""A job belongs to the request and to the trace that have queued it."""

from collections.abc import Callable
from typing import ClassVar

import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.core.config import Settings
from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.core.jobs.kinds import JobContext, JobKind
from app.core.jobs.origin import origin_headers
from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.core.observability.line_formats import LINE_CONTEXT
from app.dependencies.database import SessionDep
from tests.conftest import http_client
from tests.inline_jobs import InlineJobs

router = APIRouter(route_class=EdgeRoute)


class Trip(JobPayload):
    job: ClassVar = "trip"

    stops: int


@router.post("/trips")
async def start_trip(session: SessionDep) -> None:
    await JobQueue(session).enqueue(Trip(stops=2))


class Traveller:
    """Queues the next job until the trip is over, and notes what lines of the log would name."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    async def run(self, payload: Trip, context: JobContext) -> None:
        self.lines.append({k: v for one in LINE_CONTEXT for k, v in one().items()})
        if payload.stops > 1:
            async with context.database.transaction() as session:
                await JobQueue(session).enqueue(Trip(stops=payload.stops - 1))


async def test_lines_of_a_job_name_the_request_also_of_jobs_that_it_queues(
    app_with_routers: Callable[..., FastAPI], database: Database, settings: Settings
) -> None:
    traveller = Traveller()
    async with http_client(app_with_routers(router, database=database)) as client:
        response = await client.post("/trips")

    assert await InlineJobs(database, settings, [JobKind(Trip, traveller.run)]).run_all() == 2
    request_id = response.headers["x-request-id"]
    assert [line["request_id"] for line in traveller.lines] == [request_id] * 2
    assert len({line["job"] for line in traveller.lines}) == 2


async def test_job_goes_on_with_the_trace_that_has_queued_it(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("app.core.jobs.origin.get_tracer", provider.get_tracer)

    async def fail(_payload: Trip, _context: JobContext) -> None:
        assert trace.get_current_span().is_recording()
        raise LookupError("about a row")

    with provider.get_tracer("test").start_as_current_span("request") as request:
        async with database.transaction() as session:
            await JobQueue(session).enqueue(Trip(stops=1))

    with pytest.raises(LookupError):
        await InlineJobs(database, settings, [JobKind(Trip, fail)]).run_all()
    (span,) = [one for one in exporter.get_finished_spans() if one.name == "process trip"]
    assert span.kind is trace.SpanKind.CONSUMER
    assert span.parent
    assert span.parent.span_id == request.get_span_context().span_id
    assert span.context
    assert span.context.trace_id == request.get_span_context().trace_id
    assert span.status.status_code is trace.StatusCode.ERROR
    assert "about a row" not in span.to_json()


def test_job_is_queued_without_what_the_client_chooses() -> None:
    caller = {
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        "tracestate": f"vendor={'x' * 200}",
        "baggage": f"known={'x' * 4000}",
    }
    before = attach(extract(caller))
    try:
        assert origin_headers() == {"traceparent": caller["traceparent"]}
    finally:
        detach(before)


def test_job_that_nobody_requested_has_no_origin() -> None:
    assert origin_headers() == {}
