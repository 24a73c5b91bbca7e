"""Each test begins as a process does: commands of other tests may have configured the log."""

import logging
from collections.abc import Generator

import pytest

from app.core.config import Settings
from app.core.observability.logs import LineHandler


@pytest.fixture(autouse=True)
def unconfigured() -> Generator[None]:
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
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the variables of OpenTelemetry, which it reads in the environment alone."""
    for name in Settings.model_fields:
        if name.startswith("otel_"):
            monkeypatch.setenv(name.upper(), "")
            monkeypatch.delenv(name.upper())
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "")
    monkeypatch.delenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
