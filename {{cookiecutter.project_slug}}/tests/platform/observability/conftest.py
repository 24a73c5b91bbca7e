"""Each test begins as a process does: commands of other tests may have configured the log."""

import logging
from collections.abc import Generator

import pytest

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
