"""Metrics of background jobs, which workers serve."""

from collections.abc import Iterable
from typing import Final

from app.core.observability.metrics.registry import Registry

# Seconds. A job may take a minute by default.
_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)


class JobMetrics:
    """Counts the runs of jobs in this process, and shows how many jobs there are in all.

    The gauges are the same in all workers, because they share one queue.
    """

    def __init__(self, registry: Registry) -> None:
        self._runs = registry.counter(
            "job_runs_total",
            "Runs of jobs that have ended: done, retried or dead.",
            "job",
            "outcome",
        )
        self._seconds = registry.histogram(
            "job_duration_seconds", "Time that a run of a job takes.", "job", buckets=_BUCKETS
        )
        self._jobs = registry.gauge(
            "jobs", "Jobs of the whole queue: queued, running or dead.", "job", "state"
        )
        self._age = registry.gauge(
            "job_oldest_age_seconds", "Time since the oldest job was queued.", "job", "state"
        )
        self._seen: set[tuple[str, str]] = set()

    def observe(self, job: str, outcome: str, seconds: float) -> None:
        """Count a run."""
        self._runs.labels(job, outcome).inc()
        self._seconds.labels(job).observe(seconds)

    def show(self, counts: Iterable[tuple[str, str, int, float]]) -> None:
        """Set the gauges: job, state, number, and the age of the oldest one in seconds."""
        found = {(job, state): (number, age) for job, state, number, age in counts}
        self._seen |= found.keys()
        for key in self._seen:
            number, age = found.get(key, (0, 0))
            self._jobs.labels(*key).set(number)
            self._age.labels(*key).set(age)
