"""Series in memory, or in the files of several processes."""

import os
from contextlib import suppress
from typing import Final, Literal

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

from app.core.observability.metrics.folder import MetricsFolder

MEDIA_TYPE: Final = CONTENT_TYPE_LATEST

# A third of a scrape, which Prometheus does not use.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Registry:
    """Creates series, and renders those of all processes that share the `folder`."""

    def __init__(self, folder: MetricsFolder | None) -> None:
        self._folder = folder
        self._scraped = CollectorRegistry()
        # A shared folder has the series of this process too, so they are not scraped a second time.
        self._own = None if folder else self._scraped
        if folder:
            MultiProcessCollector(self._scraped, str(folder.path))  # type: ignore[no-untyped-call]
        self._counters: dict[str, Counter] = {}

    @property
    def is_shared(self) -> bool:
        """Whether several processes share their metrics."""
        return self._folder is not None

    def counter(self, name: str, documentation: str, *labels: str) -> Counter:
        """Return the counter of this name, created at the first call."""
        if name not in self._counters:
            self._counters[name] = Counter(name, documentation, labels, registry=self._own)
        return self._counters[name]

    def gauge(
        self,
        name: str,
        documentation: str,
        *labels: str,
        over: Literal["livesum", "livemax"] = "livesum",
    ) -> Gauge:
        """Return a new gauge: the sum, or else the maximum, over all processes that run."""
        return Gauge(name, documentation, labels, registry=self._own, multiprocess_mode=over)

    def histogram(
        self, name: str, documentation: str, *labels: str, buckets: tuple[float, ...]
    ) -> Histogram:
        """Return a new histogram with the upper bounds `buckets`."""
        return Histogram(name, documentation, labels, registry=self._own, buckets=buckets)

    def render(self) -> bytes:
        """Return all series in the text format of Prometheus, `MEDIA_TYPE`."""
        if self._folder:
            for number in self._folder.ended_processes():
                _forget(number, self._folder)
        return generate_latest(self._scraped)

    def close(self) -> None:
        """Say that this process ends. What it has counted stays in the folder, its gauges do not."""
        if self._folder:
            _forget(os.getpid(), self._folder)
            self._folder.leave()


def _forget(number: int, folder: MetricsFolder) -> None:
    with suppress(FileNotFoundError):  # another scrape does the same
        mark_process_dead(number, str(folder.path))  # type: ignore[no-untyped-call]


class Follower:
    """Makes a counter follow a total that is counted elsewhere."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._seen = 0.0

    def follow(self, total: float) -> None:
        """Add what the total has gained. A total that is smaller has started again at 0."""
        self._counter.inc(total - self._seen if total >= self._seen else total)
        self._seen = total
