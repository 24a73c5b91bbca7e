"""Audit events as a metric: sign-ins by result, refusals, revocations."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # it imports prometheus-client
    from prometheus_client import Counter

    from app.core.observability.metrics.registry import Registry

# Events with alerts have a series from the start. Otherwise the first one would go unnoticed, because
# Prometheus compares a series with its past.
_ALWAYS: Final = (
    "sign_in",
    "sign_in_failed",
    "too_many_attempts",
    "refresh_reuse",
    "access_refused",
)


@contextmanager
def count_audit_events(registry: "Registry") -> Generator[None]:
    """Count audit events by name until the block ends."""
    counter = registry.counter("audit_events_total", "Audit events by name.", "event")
    for event in _ALWAYS:
        counter.labels(event)
    handler = _Counting(counter)
    logger = logging.getLogger("app.audit")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Counting(logging.Handler):
    """A log handler that counts instead of printing."""

    def __init__(self, counter: "Counter") -> None:
        super().__init__()
        self._counter = counter

    def emit(self, record: logging.LogRecord) -> None:
        """Count an event, which `audit` attaches to the record."""
        event: dict[str, Any] | None = getattr(record, "audit", None)
        if event:  # else somebody logs here as well
            self._counter.labels(event["event"]).inc()
