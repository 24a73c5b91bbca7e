"""What Prometheus scrapes: requests, transactions and connection pools, of all processes.

Importing this module imports prometheus-client: `app.main` does so only if metrics are on, and calls
`share_metrics()` before.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from http import HTTPMethod, HTTPStatus
from threading import Lock
from typing import ClassVar, Final, NamedTuple, cast

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from sqlalchemy import Connection, ExceptionContext, event

from app.core.database.pool import FairPool
from app.core.database.sessions import Database
from app.core.observability.logs import dropped_lines
from app.core.observability.metrics_folder import MetricsFolder
from app.core.observability.requests import RequestRecord

# Seconds. A row by its key takes a few milliseconds, and DATABASE_DEADLINE is 5 seconds by default.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Values of labels must be few: clients choose paths and methods.
UNMATCHED: Final = "unmatched"
OTHER: Final = "other"
_METHODS: Final = frozenset(HTTPMethod)

_DEADLOCK: Final = "40P01"

# A third of a scrape, which Prometheus does not use.
disable_created_metrics()  # type: ignore[no-untyped-call]

# How often gauges are written for scrapes that other processes respond to.
_PUBLISH_SECONDS: Final = 1


class _RequestSeries(NamedTuple):
    """The series of a route, method and status."""

    requests: Counter
    seconds: Histogram


class _PoolSeries(NamedTuple):
    """The series of a connection pool."""

    size: Gauge
    in_use: Gauge
    waiting: Gauge
    waits: "_Follower"
    wait_seconds: "_Follower"


class _Follower:
    """Makes a counter follow a total that is counted elsewhere."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seen = 0.0

    def follow(self, total: float) -> None:
        """Add what the total has gained. One that is smaller has begun anew."""
        self._counter.inc(total - self._seen if total >= self._seen else total)
        self._seen = total


class Metrics:
    """Observes requests and a database, and renders what it has seen.

    Counters are written when something happens. Gauges are read from what they describe: at each
    scrape, and once a second if several processes share a `folder`.
    """

    media_type: ClassVar[str] = CONTENT_TYPE_LATEST

    def __init__(self, folder: MetricsFolder | None) -> None:
        self._folder = folder
        self._scraped = CollectorRegistry()
        # In a shared folder the files are scraped, and the metrics of this process must not be.
        self._registry = None if folder else self._scraped
        if folder:
            MultiProcessCollector(self._scraped, str(folder.path))  # type: ignore[no-untyped-call]
        self._counters: dict[str, Counter] = {}
        self._requests = self.counter(
            "http_requests_total", "Requests that have ended.", "route", "method", "status"
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the request to the end of the response.",
            ("route", "method"),
            registry=self._registry,
            buckets=BUCKETS,
        )
        self._in_progress = self._gauge("http_requests_in_progress", "Requests in progress.")
        self._unavailable = self.counter(
            "http_unavailable_total", "Responses with the status 503, by cause.", "cause"
        )
        for cause in ("pool", "deadline", "unreachable"):  # so that their first one is an increase
            self._unavailable.labels(cause)
        self._replays = self.counter(
            "idempotent_replays_total", "Requests that got the response to an earlier one."
        )
        self._commits = self.counter("database_commits_total", "Transactions committed.")
        self._rollbacks = self.counter("database_rollbacks_total", "Transactions rolled back.")
        self._deadlocks = self.counter(
            "database_deadlocks_total", "Deadlocks that PostgreSQL ended."
        )
        self._dropped = _Follower(
            self.counter("log_lines_dropped_total", "Lines that the log's reader was too slow for.")
        )
        pool = "pool"
        self._pool_size = self._gauge("database_pool_size", "Connections at most.", pool)
        self._pool_in_use = self._gauge("database_pool_in_use", "Connections in use.", pool)
        self._pool_waiting = self._gauge(
            "database_pool_waiting", "Requests that wait for a connection.", pool
        )
        self._pool_waits = self.counter(
            "database_pool_waits_total", "How often there was no free connection.", pool
        )
        self._pool_wait_seconds = self.counter(
            "database_pool_wait_seconds_total", "Time spent waiting for a free connection.", pool
        )
        self._series: dict[tuple[str, str, int], _RequestSeries] = {}
        self._running = 0
        self._database: Database | None = None
        self._pools: dict[str, _PoolSeries] = {}
        self._publishing = Lock()
        self.publish()

    @property
    def is_shared(self) -> bool:
        """Whether several processes share their metrics."""
        return self._folder is not None

    def counter(self, name: str, documentation: str, *labels: str) -> Counter:
        """Return the counter of this name, created at the first call."""
        if name not in self._counters:
            self._counters[name] = Counter(name, documentation, labels, registry=self._registry)
        return self._counters[name]

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(
            name, documentation, labels, registry=self._registry, multiprocess_mode="livesum"
        )

    def started(self, record: RequestRecord) -> None:  # noqa: ARG002 (the interface of observers)
        """Note a request."""
        self._running += 1

    def finished(self, record: RequestRecord) -> None:
        """Count a request under its route, method and status."""
        self._running -= 1
        key = (record.route, record.method, record.status)
        series = self._series.get(key) or self._series_of(*key)
        series.requests.inc()
        series.seconds.observe(record.seconds)
        if record.status == HTTPStatus.SERVICE_UNAVAILABLE:
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
        self._database = database
        writer = database.writer.sync_engine
        event.listen(writer, "commit", self._committed)
        event.listen(writer, "rollback", self._rolled_back)
        event.listen(writer, "handle_error", self._failed)
        publishing = asyncio.create_task(self._keep_publishing()) if self._folder else None
        try:
            self.publish()
            yield
        finally:
            if publishing:
                publishing.cancel()
            self.publish()
            self._database = None
            if self._folder:
                _forget(os.getpid(), self._folder)
                self._folder.leave()

    def _committed(self, _connection: Connection) -> None:
        self._commits.inc()

    def _rolled_back(self, _connection: Connection) -> None:
        self._rollbacks.inc()

    def _failed(self, context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _DEADLOCK:
            self._deadlocks.inc()

    async def _keep_publishing(self) -> None:
        while True:
            await asyncio.sleep(_PUBLISH_SECONDS)
            self.publish()

    def publish(self) -> None:
        """Write what is not counted when it happens."""
        with self._publishing:  # scrapes run in threads
            self._in_progress.set(self._running)
            self._dropped.follow(dropped_lines())
            engines = self._database.engines if self._database else {}
            for name, engine in engines.items():
                pool = cast("FairPool", engine.pool)
                series = self._pools.get(name) or self._pool_series(name)
                series.size.set(pool.size())
                series.in_use.set(pool.in_use)
                series.waiting.set(pool.waiting)
                series.waits.follow(pool.waits)
                series.wait_seconds.follow(pool.waited)

    def _pool_series(self, name: str) -> _PoolSeries:
        self._pools[name] = series = _PoolSeries(
            self._pool_size.labels(name),
            self._pool_in_use.labels(name),
            self._pool_waiting.labels(name),
            _Follower(self._pool_waits.labels(name)),
            _Follower(self._pool_wait_seconds.labels(name)),
        )
        return series

    def scrape(self) -> bytes:
        """Return all series in the text format of Prometheus. Call it in a thread."""
        self.publish()
        if self._folder:
            for number in self._folder.ended_processes():
                _forget(number, self._folder)
        return generate_latest(self._scraped)


def _forget(number: int, folder: MetricsFolder) -> None:
    """Remove the gauges of a process that ends or has ended. What it has counted stays."""
    with suppress(FileNotFoundError):  # another scrape does the same
        mark_process_dead(number, str(folder.path))  # type: ignore[no-untyped-call]
