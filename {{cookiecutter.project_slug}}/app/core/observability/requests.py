"""One record for each request, which logs, metrics and traces are made of."""

import re
import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.database.usage import CURRENT_USAGE, DatabaseUsage

# What other services send: UUIDs, ULIDs, trace ids, with the separators of common formats.
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{8,128}")


@dataclass(slots=True)
class RequestRecord:
    """What is known about a request, completed while it is processed.

    `route` is the template of the path, such as `/users/{user_id}`, or empty if no route matches.
    `status` is 0 until the response starts. `sent` counts the bytes of the response's body. `outcome`
    names why a request was refused with 503 or replayed, such as `pool` or `replayed`.
    """

    id: str
    method: str
    client: str = ""
    route: str = ""
    status: int = 0
    seconds: float = 0
    sent: int = 0
    user_id: int | str | None = None
    outcome: str = ""
    usage: DatabaseUsage = field(default_factory=DatabaseUsage)


class RequestObserver(Protocol):
    """Something that is told of every request."""

    def started(self, record: RequestRecord) -> None: ...

    def finished(self, record: RequestRecord) -> None: ...


_CURRENT: Final[ContextVar[RequestRecord | None]] = ContextVar("request", default=None)


def current_request() -> RequestRecord | None:
    """Return the record of the running request, also in the background tasks that it starts."""
    return _CURRENT.get()


class ObserveRequests:
    """ASGI middleware, the outermost: keeps a record of each request, and tells the observers.

    `X-Request-ID` is taken from the request if it is well-formed and `trusts_ids`, else made. It is
    sent with the response.
    """

    def __init__(
        self, app: ASGIApp, observers: Sequence[RequestObserver], *, trusts_ids: bool
    ) -> None:
        self._app = app
        self._observers = observers
        self._trusts_ids = trusts_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(self._id(scope), scope["method"])
        _CURRENT.set(record)  # not reset: the server logs an unexpected error after it left here
        CURRENT_USAGE.set(record.usage)
        header = (b"x-request-id", record.id.encode())

        async def send_observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], header]
            else:
                record.sent += len(message.get("body", b""))
            await send(message)

        for observer in self._observers:
            observer.started(record)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, send_observed)
        except Exception:
            record.status = record.status or 500
            raise
        finally:
            record.seconds = time.perf_counter() - began
            client = scope.get("client")  # a trusted proxy may have named another one meanwhile
            record.client = client[0] if client else ""
            for observer in self._observers:
                observer.finished(record)

    def _id(self, scope: Scope) -> str:
        if self._trusts_ids:
            for name, value in scope["headers"]:
                if name == b"x-request-id" and _WELL_FORMED.fullmatch(value):
                    return value.decode()
        return uuid4().hex
