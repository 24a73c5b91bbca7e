"""Metrics of background jobs. Processes with a worker serve them."""

from collections.abc import Iterable
from typing import Final

from app.core.observability.metrics.registry import Registry

# Seconds. A job may take a minute by default.
_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)


class JobMetrics:
    """Metrics of jobs: the runs in this process, and the jobs of the whole queue.

    The gauges are the same in all workers, because they share one queue.
    """

    def __init__(self, registry: Registry) -> None:
        self._runs = registry.counter(
            "job_runs_total", "Runs of jobs: done, retried or dead.", "kind", "outcome"
        )
        self._seconds = registry.histogram(
            "job_duration_seconds", "Time that a run of a job takes.", "kind", buckets=_BUCKETS
        )
        self._jobs = registry.gauge(
            "jobs",
            "Jobs of the whole queue: queued, running or dead.",
            "kind",
            "state",
            over="livemax",
        )
        self._waiting = registry.gauge(
            "job_waiting_seconds",
            "Time since the first of the queued jobs was due.",
            "kind",
            over="livemax",
        )
        self._working = registry.gauge(
            "job_workers", "Workers that take jobs, of which there is one in a process."
        )
        self._seen: set[tuple[str, str]] = set()

    def observe(self, kind: str, outcome: str, seconds: float) -> None:
        """Count a run."""
        self._runs.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)

    def show_worker(self, *, is_working: bool) -> None:
        """Set the gauge of workers."""
        self._working.set(is_working)

    def show(self, counts: Iterable[tuple[str, str, int, float]]) -> None:
        """Set the gauges from rows of kind, state, number of jobs, and seconds.

        The seconds run since the first of these jobs was due, was begun, or was given up.
        """
        found = {(kind, state): (number, seconds) for kind, state, number, seconds in counts}
        self._seen |= found.keys()
        for kind, state in self._seen:
            number, seconds = found.get((kind, state), (0, 0))
            self._jobs.labels(kind, state).set(number)
            if state == "queued":
                self._waiting.labels(kind).set(max(0, seconds))
