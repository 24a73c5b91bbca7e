"""One record for each request, from which logs, metrics and traces are made.

`app.core.http.perimeter` keeps it.
"""

import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from starlette.types import Scope

from app.core.database.usage import CURRENT_USAGE, DatabaseUsage
from app.core.observability.line_formats import LINE_CONTEXT

# What other services send: UUIDs, ULIDs, trace ids, with the separators of common formats.
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")

# The client has closed the connection before the response started. No standard has a status for
# it; nginx logs this one.
CLIENT_CLOSED: Final = 499

# The server has ended the request before the response started, because it stops.
_CANCELLED: Final = 500


def _no_route(_scope: Scope) -> str:
    return ""


@dataclass(slots=True, eq=False)
class RequestRecord:
    """What is known about a request, completed while it is processed.

    `status` is 0 until the response starts, and `CLIENT_CLOSED` if the client has left before. `sent`
    counts the bytes of the response's body, and `seconds` run until its end. `outcome` names why a
    request got 503, such as `pool` or `deadlock`, or says that it was `replayed`, or `broken_off` by an
    error after the response had started.
    """

    id: str
    method: str
    scope: Scope = field(default_factory=dict, repr=False)
    find_route: Callable[[Scope], str] = field(default=_no_route, repr=False)
    root_path: str = ""  # before a mounted application has extended it
    client: str = ""
    status: int = 0
    seconds: float = 0
    sent: int = 0
    user_id: int | str | None = None
    outcome: str = ""
    usage: DatabaseUsage = field(default_factory=DatabaseUsage)

    def end(self, seconds: float) -> None:
        """Complete the record of a request that took `seconds`."""
        self.seconds = seconds
        self.status = self.status or _CANCELLED
        client = self.scope.get("client")
        self.client = client[0] if client else ""

    @property
    def route(self) -> str:
        """The template of the path, such as `/users/{user_id}`, or empty if no route matches."""
        return self.find_route(self.scope)


class RequestObserver(Protocol):
    """Observes every request: when it arrives, and when its response has ended."""

    def started(self, record: RequestRecord) -> None: ...

    def finished(self, record: RequestRecord) -> None: ...


_CURRENT: Final[ContextVar[RequestRecord | None]] = ContextVar("request", default=None)


def start_record(
    scope: Scope, find_route: Callable[[Scope], str], given_id: bytes | None
) -> RequestRecord:
    """Return the record of a request that arrives, and make it the current one.

    Its id is the given one if that is well-formed, else a new one. It stays current, because the server
    logs an unexpected error after the request has left the application.
    """
    if given_id and _WELL_FORMED.fullmatch(given_id):
        request_id = given_id.decode()
    else:
        request_id = os.urandom(16).hex()
    record = RequestRecord(request_id, scope.get("method", "WEBSOCKET"), scope, find_route)
    record.root_path = scope.get("root_path", "")
    _CURRENT.set(record)
    CURRENT_USAGE.set(record.usage)
    return record


def current_request() -> RequestRecord | None:
    """Return the record of the running request, also in the tasks and threads that it starts."""
    return _CURRENT.get()


def note_outcome(outcome: str) -> None:
    """Record why the running request is refused, or that it is replayed."""
    record: RequestRecord | None = _CURRENT.get()
    if record:
        record.outcome = outcome


def note_user(user_id: int | str) -> None:
    """Record who the caller of the running request is."""
    record: RequestRecord | None = _CURRENT.get()
    if record:
        record.user_id = user_id


def _fields_of_lines() -> dict[str, object]:
    """Return the fields of each line of a request."""
    record = _CURRENT.get()
    if record is None:
        return {}
    route = record.route
    return {"request_id": record.id, "route": route} if route else {"request_id": record.id}


LINE_CONTEXT.append(_fields_of_lines)
