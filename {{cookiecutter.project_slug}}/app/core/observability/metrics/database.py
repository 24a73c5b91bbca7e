"""Metrics of a database: connection pools, transactions, deadlocks."""

from typing import Final, NamedTuple, cast

from prometheus_client import Gauge
from sqlalchemy import ExceptionContext, event

from app.core.database.pool import FairPool
from app.core.database.sessions import Database
from app.core.observability.metrics.registry import Follower, Registry

_DEADLOCK: Final = "40P01"


class _PoolSeries(NamedTuple):
    """The series of a connection pool."""

    size: Gauge
    in_use: Gauge
    waiting: Gauge
    waits: Follower
    waited: Follower


class DatabaseMetrics:
    """Exports the counters of a database and the use of its pools.

    Commits and rollbacks are counted for sessions that write. Sessions that read have transactions only
    behind a pooler, and it makes no difference how these end.
    """

    def __init__(self, registry: Registry) -> None:
        self._commits = Follower(
            registry.counter("database_commits_total", "Transactions committed.")
        )
        self._rollbacks = Follower(
            registry.counter("database_rollbacks_total", "Transactions rolled back.")
        )
        self._deadlocks = registry.counter(
            "database_deadlocks_total", "Deadlocks that PostgreSQL ended."
        )
        self._size = registry.gauge("database_pool_size", "Connections at most.", "pool")
        self._in_use = registry.gauge("database_pool_in_use", "Connections in use.", "pool")
        self._waiting = registry.gauge(
            "database_pool_waiting", "Requests that wait for a connection.", "pool"
        )
        self._waits = registry.counter(
            "database_pool_waits_total", "How often there was no free connection.", "pool"
        )
        self._waited = registry.counter(
            "database_pool_wait_seconds_total", "Time spent waiting for a free connection.", "pool"
        )
        self._pools: dict[str, _PoolSeries] = {}
        self._database: Database | None = None

    def watch(self, database: Database) -> None:
        """Read this database from now on."""
        self._database = database
        event.listen(database.writer.sync_engine, "handle_error", self._failed)

    def publish(self) -> None:
        """Set all series but the deadlocks, which are counted when they happen."""
        if self._database is None:
            return
        self._commits.follow(self._database.transactions.commits)
        self._rollbacks.follow(self._database.transactions.rollbacks)
        for name, engine in self._database.engines.items():
            pool = cast("FairPool", engine.pool)
            series = self._pools.get(name) or self._series_of(name)
            series.size.set(pool.size())
            series.in_use.set(pool.in_use)
            series.waiting.set(pool.waiting)
            series.waits.follow(pool.waits)
            series.waited.follow(pool.waited)

    def _series_of(self, name: str) -> _PoolSeries:
        self._pools[name] = _PoolSeries(
            self._size.labels(name),
            self._in_use.labels(name),
            self._waiting.labels(name),
            Follower(self._waits.labels(name)),
            Follower(self._waited.labels(name)),
        )
        return self._pools[name]

    def _failed(self, context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _DEADLOCK:
            self._deadlocks.inc()
