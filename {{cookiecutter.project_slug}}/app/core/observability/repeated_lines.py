"""Throttling of packages that repeat a line while their receiver is unavailable."""

import logging
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def once_a_minute(logger_name: str) -> Generator[None]:
    """Let one record of a logger through each minute, within the block."""
    logger = logging.getLogger(logger_name)
    is_first = FirstOfMinute()
    logger.addFilter(is_first)
    try:
        yield
    finally:
        logger.removeFilter(is_first)


class FirstOfMinute(logging.Filter):
    """Lets a record through, and the next one a minute later at the earliest."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        is_due = record.created >= self._next
        if is_due:
            self._next = record.created + 60
        return is_due
