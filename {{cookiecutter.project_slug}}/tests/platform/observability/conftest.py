"""The lines that a test logs, as JSON."""

import json
import logging
from collections.abc import Generator
from typing import Any

import pytest

from app.core.observability.logs import EscapedRecord, JSONFormatter, LineHandler

Line = dict[str, Any]


class Lines(logging.Handler):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.lines: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture(autouse=True)
def unconfigured() -> Generator[None]:
    """Let each test begin as a process does: commands of other tests may have configured the log."""
    factory = logging.getLogRecordFactory()
    _remove_line_handlers()
    yield
    _remove_line_handlers()
    logging.setLogRecordFactory(factory)


def _remove_line_handlers() -> None:
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, LineHandler)]:
        root.removeHandler(handler)


@pytest.fixture
def lines() -> Generator[list[Line]]:
    """All lines of the app, of any level, and the warnings of others."""
    handler = Lines()
    app, requests, root = map(logging.getLogger, ("app", "app.requests", ""))
    level = app.level
    app.setLevel(logging.DEBUG)
    requests.disabled = False  # see tests/conftest.py
    logging.setLogRecordFactory(EscapedRecord)
    root.addHandler(handler)
    yield handler.lines
    root.removeHandler(handler)
    requests.disabled = True
    app.setLevel(level)
