"""Metrics of requests, and the place where all metrics come together."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from http import HTTPMethod, HTTPStatus
from threading import Lock
from typing import ClassVar, Final, NamedTuple

from prometheus_client import Counter, Histogram

from app.core.database.sessions import Database
from app.core.http.paths import PROBES
from app.core.observability.logs import dropped_lines
from app.core.observability.metrics.database import DatabaseMetrics
from app.core.observability.metrics.folder import MetricsFolder
from app.core.observability.metrics.registry import MEDIA_TYPE, Follower, Registry
from app.core.observability.requests import RequestRecord

# Seconds. A row by its key takes a few milliseconds, and DATABASE_DEADLINE is 5 seconds by default.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Labels must have few values, but clients choose paths and methods.
UNMATCHED: Final = "unmatched"
OTHER: Final = "other"
_METHODS: Final = frozenset(HTTPMethod)

# Causes of 503 whose series exist from the start, so that the first 503 is an increase.
_CAUSES: Final = ("pool", "deadline", "unreachable")

# How often gauges are written for scrapes that other processes respond to.
_PUBLISH_SECONDS: Final = 1


class _RequestSeries(NamedTuple):
    """The series of a route, method and status."""

    requests: Counter
    seconds: Histogram


class Metrics:
    """Observes requests and a database, and renders what it has seen.

    Requests are counted when they end. Pools and the like are read at each scrape, and once a second if
    several processes share a `folder`. Add series of your own in `extensions`: functions that get
    the registry, and return a context manager that is open while the application runs.
    """

    media_type: ClassVar[str] = MEDIA_TYPE

    def __init__(self, folder: MetricsFolder | None) -> None:
        self.registry = registry = Registry(folder)
        self.extensions: list[Callable[[Registry], AbstractContextManager[None]]] = []
        self._requests = registry.counter(
            "http_requests_total", "Requests that have ended.", "route", "method", "status"
        )
        self._seconds = registry.histogram(
            "http_request_duration_seconds",
            "Time from the request to the end of the response.",
            "route",
            "method",
            buckets=BUCKETS,
        )
        self._in_progress = registry.gauge("http_requests_in_progress", "Requests in progress.")
        self._unavailable = registry.counter(
            "http_unavailable_total",
            "Responses with the status 503, by cause, without health checks.",
            "cause",
        )
        for cause in _CAUSES:
            self._unavailable.labels(cause)
        self._replays = registry.counter(
            "idempotent_replays_total", "Requests that got the response to an earlier one."
        )
        self._dropped = Follower(
            registry.counter(
                "log_lines_dropped_total",
                "Lines lost because the log's reader was too slow, or writing failed.",
            )
        )
        self._database = DatabaseMetrics(registry)
        self._series: dict[tuple[str, str, int], _RequestSeries] = {}
        self._in_flight = 0
        self._publishing = Lock()

    def started(self, record: RequestRecord) -> None:  # noqa: ARG002 (the interface of observers)
        """Note a request."""
        self._in_flight += 1

    def finished(self, record: RequestRecord) -> None:
        """Count a request under its route, method and status."""
        self._in_flight -= 1
        key = (record.route, record.method, record.status)
        series = self._series.get(key) or self._series_of(*key)
        series.requests.inc()
        series.seconds.observe(record.seconds)
        if record.status == HTTPStatus.SERVICE_UNAVAILABLE:
            if record.route not in PROBES:  # a deployment causes some
                self._unavailable.labels(record.outcome or OTHER).inc()
        elif record.outcome == "replayed":
            self._replays.inc()

    def _series_of(self, route: str, method: str, status: int) -> _RequestSeries:
        if method not in _METHODS:
            method = OTHER
        key = (route, method, status)
        if key not in self._series:
            labels = (route or UNMATCHED, method)
            self._series[key] = _RequestSeries(
                self._requests.labels(*labels, str(status)), self._seconds.labels(*labels)
            )
        return self._series[key]

    @asynccontextmanager
    async def running(self, database: Database) -> AsyncGenerator[None]:
        """Observe a database while the application runs."""
        self._database.watch(database)
        self.publish()
        task = asyncio.create_task(self._keep_publishing()) if self.registry.is_shared else None
        try:
            with ExitStack() as stack:
                for extension in self.extensions:
                    stack.enter_context(extension(self.registry))
                yield
        finally:
            if task:
                task.cancel()
            self.publish()
            self.registry.close()

    async def _keep_publishing(self) -> None:
        while True:
            await asyncio.sleep(_PUBLISH_SECONDS)
            self.publish()

    def publish(self) -> None:
        """Write what is not counted when it happens."""
        with self._publishing:  # scrapes run in threads
            self._in_progress.set(self._in_flight)
            self._dropped.follow(dropped_lines())
            self._database.publish()

    def scrape(self) -> bytes:
        """Return all series in the text format of Prometheus. Call it in a thread."""
        self.publish()
        return self.registry.render()
