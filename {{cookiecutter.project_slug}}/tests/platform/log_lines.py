"""The lines that a test logs."""

import json
import logging
from typing import Any

from app.core.observability.line_formats import JSONFormatter

Line = dict[str, Any]


class Lines(logging.Handler):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONFormatter())
        self.lines: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))
