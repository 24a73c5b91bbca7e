"""The lines that a test logs."""

import json
import logging
from collections.abc import Iterable
from typing import Any

from app.core.observability.line_formats import JSONFormatter

Line = dict[str, Any]
# What the recipes `live-feed` and `tenants` log of the database, whoever starts the app.
OF_RECIPES = ("app.core.feed", "app.core.database.isolation")


def own_records(records: Iterable[logging.LogRecord]) -> list[logging.LogRecord]:
    """Return the records of the app, but not those that a recipe adds to each start."""
    return [one for one in records if one.name.startswith("app.") and one.name not in OF_RECIPES]


class Lines(logging.Handler):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.lines: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))
