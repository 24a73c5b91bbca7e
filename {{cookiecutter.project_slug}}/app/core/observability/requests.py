"""One record for each request, which logs, metrics and traces are made of."""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.database.usage import CURRENT_USAGE, DatabaseUsage
from app.core.observability.logs import LINE_CONTEXT

# What other services send: UUIDs, ULIDs, trace ids, with the separators of common formats.
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")

# The client has closed the connection before the response started. No standard has a status for
# it; nginx logs this one.
CLIENT_CLOSED: Final = 499


def _no_route(_scope: Scope) -> str:
    return ""


@dataclass(slots=True, eq=False)
class RequestRecord:
    """What is known about a request, completed while it is processed.

    `status` is 0 until the response starts, and `CLIENT_CLOSED` if the client has left before. `sent`
    counts the bytes of the response's body, and `seconds` last until its end. `outcome` names why a
    request got 503, such as `pool` or `deadlock`, or says that it was `replayed`. `error` is an
    unexpected one.
    """

    id: str
    method: str
    scope: Scope = field(default_factory=dict, repr=False)
    find_route: Callable[[Scope], str] = field(default=_no_route, repr=False)
    client: str = ""
    status: int = 0
    seconds: float = 0
    sent: int = 0
    user_id: int | str | None = None
    outcome: str = ""
    error: Exception | None = None
    usage: DatabaseUsage = field(default_factory=DatabaseUsage)

    @property
    def route(self) -> str:
        """The template of the path, such as `/users/{user_id}`, or empty if no route matches."""
        return self.find_route(self.scope)


class RequestObserver(Protocol):
    """Something that is told of every request: when it arrives, and when its response has ended."""

    def started(self, record: RequestRecord) -> None: ...

    def finished(self, record: RequestRecord) -> None: ...


_CURRENT: Final[ContextVar[RequestRecord | None]] = ContextVar("request", default=None)


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
    """Return what each line of a request names."""
    record = _CURRENT.get()
    if record is None:
        return {}
    route = record.route
    return {"request_id": record.id, "route": route} if route else {"request_id": record.id}


LINE_CONTEXT.append(_fields_of_lines)


class ObserveRequests:
    """ASGI middleware, the outermost: keeps a record of each request, and tells the observers.

    `X-Request-ID` is taken from the request if it is well-formed and `trusts_ids`, else made. It is
    sent with the response. `respond_to_error` creates the response to an unexpected error, which is
    raised again for the server to log.
    """

    def __init__(
        self,
        app: ASGIApp,
        observers: Sequence[RequestObserver],
        *,
        trusts_ids: bool,
        find_route: Callable[[Scope], str],
        respond_to_error: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self._app = app
        self._observers = observers
        self._trusts_ids = trusts_ids
        self._find_route = find_route
        self._respond_to_error = respond_to_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        method = scope.get("method", "WEBSOCKET")
        record = RequestRecord(self._id(scope), method, scope, self._find_route)
        # Not reset, because the server logs an unexpected error after it has left here.
        _CURRENT.set(record)
        CURRENT_USAGE.set(record.usage)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        observed = _Observed(record, self._observers, send)
        try:
            await self._app(scope, receive, observed.send)
            record.status = record.status or CLIENT_CLOSED
        except Exception as error:
            record.error = error
            if not record.status:
                response = await self._respond_to_error(Request(scope), error)
                await response(scope, receive, observed.send)
            raise
        finally:
            observed.finish()

    def _id(self, scope: Scope) -> str:
        if self._trusts_ids:
            for name, value in scope["headers"]:
                if name == b"x-request-id" and _WELL_FORMED.fullmatch(value):
                    return str(value, "ascii")
        return uuid4().hex


class _Observed:
    """Sends a response, and completes the record of its request."""

    def __init__(
        self, record: RequestRecord, observers: Sequence[RequestObserver], send: Send
    ) -> None:
        self._record = record
        self._observers = observers
        self._send = send
        self._is_finished = False
        for observer in observers:
            observer.started(record)
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        record: RequestRecord = self._record
        if message["type"] == "http.response.body":
            record.sent += len(message.get("body", b""))
            await self._send(message)
            if not message.get("more_body", False):
                self.finish()  # now, because background tasks may follow
            return
        if message["type"] == "http.response.start":
            record.status = message["status"]
            header = (b"x-request-id", record.id.encode())
            message["headers"] = [*message.get("headers", ()), header]
        await self._send(message)

    def finish(self) -> None:
        """Tell the observers that the request has ended, once."""
        if self._is_finished:
            return
        self._is_finished = True
        record: RequestRecord = self._record
        record.seconds = time.perf_counter() - self._began
        record.status = record.status or 500  # cancelled, because the server stops
        client = record.scope.get("client")
        record.client = client[0] if client else ""
        for observer in self._observers:
            observer.finished(record)


class SeeRoute:
    """ASGI middleware, the innermost: shows the record the scope in which the route will be.

    Middleware in between may have copied the scope, as `HeadMiddleware` does.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        record: RequestRecord | None = _CURRENT.get()
        if record:
            record.scope = scope
        return self._app(scope, receive, send)
