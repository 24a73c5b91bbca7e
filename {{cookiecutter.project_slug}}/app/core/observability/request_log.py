"""The line of a request in the log, in place of the server's access log."""

import logging
from typing import Any, Final
from urllib.parse import quote

from app.core.http.paths import PROBES, public_path
from app.core.observability.requests import RequestRecord

_logger: Final = logging.getLogger("app.requests")

_LONGEST: Final = 200  # of a text that the client chooses


class RequestLog:
    """An observer that logs one line for each request. Probes are logged at the level DEBUG.

    The message names the template of the path. The path itself, which may hold ids and has no bound,
    is a field, and only where no route matches.
    """

    def started(self, record: RequestRecord) -> None:
        """Log nothing yet."""

    def finished(self, record: RequestRecord) -> None:
        """Log the line."""
        if not _logger.isEnabledFor(logging.INFO):
            return  # and not for DEBUG either
        route = record.route
        level = logging.DEBUG if route in PROBES else logging.INFO
        if not _logger.isEnabledFor(level):
            return
        fields: dict[str, Any] = {
            "method": record.method,
            "status": record.status,
            "duration_ms": round(record.seconds * 1000, 2),
            "bytes": record.sent,
            "client": record.client,
            "statements": record.usage.statements,
            "waited_ms": round(record.usage.waited * 1000, 2),
        }
        if record.user_id is not None:
            fields["user_id"] = record.user_id
        if record.outcome:
            fields["outcome"] = record.outcome
        if not route:
            fields["path"] = quote(public_path(record.scope))[:_LONGEST]
        # `_logger.log` would look up its caller each time, which is always this line.
        arguments = (record.method, route or "(no route)", record.status)
        _logger.handle(
            _logger.makeRecord(
                _logger.name, level, __file__, 0, "%s %s %d", arguments, None, extra=fields
            )
        )
