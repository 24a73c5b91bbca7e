"""What surrounds the application: what happens to every request, mostly in one layer of middleware.

The parts have modules of their own. One layer calls them in order, because each layer costs a request
CPU time whenever it waits and goes on (see docs/decisions/0006).
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from app.core.config import Settings
from app.core.database.budget import enter_guard, exit_budget
from app.core.http.cross_origin import allow_origins
from app.core.http.disconnects import GRACE, DisconnectWatch
from app.core.http.head import WithoutBody, routed
from app.core.http.hosts import AllowedHosts, ForwardedHeaders
from app.core.http.limits import refuse_long_target
from app.core.http.route_templates import RouteTemplates
from app.core.http.security_headers import SecurityHeaders
from app.core.observability.requests import (
    CLIENT_CLOSED,
    RequestObserver,
    RequestRecord,
    current_request,
    start_record,
)

Responder = Callable[[Request, Exception], Awaitable[Response]]


class SeeRoute:
    """The innermost ASGI middleware: gives the record the scope in which the route will be.

    Middleware in between may have copied the scope. It has no coroutine of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        record: RequestRecord | None = current_request()
        if record:
            record.scope = scope
            record.root_path = scope.get("root_path", "")
        return self._app(scope, receive, send)


# For the constructor of the application: middleware that is added later goes around it.
INNERMOST: Final = (Middleware(SeeRoute),)


def install_perimeter(
    app: FastAPI,
    settings: Settings,
    respond_to_error: Responder,
    observers: Sequence[RequestObserver],
) -> None:
    """Add the middleware to an app that was created with `middleware=INNERMOST`.

    Call it after adding the inner middleware. Raises `TypeError` for an app created without
    `INNERMOST`.

    `respond_to_error` creates the response to an unexpected error, which is raised again for the server
    to log. The observers are told of every request.
    """
    if INNERMOST[0] not in app.user_middleware:
        raise TypeError(
            "Create the application with middleware=INNERMOST of app.core.http.perimeter"
        )
    app.add_middleware(
        Perimeter,
        settings=settings,
        respond_to_error=respond_to_error,
        observers=observers,
        find_route=RouteTemplates(app).of,
    )
    if settings.trusted_proxies:
        # Imported here because it imports all of uvicorn.
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        trusted = [str(network) for network in settings.proxy_networks]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)


class Perimeter:
    """ASGI middleware around the application."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        respond_to_error: Responder,
        observers: Sequence[RequestObserver],
        find_route: Callable[[Scope], str],
        grace: float = GRACE,
    ) -> None:
        self._app = app
        self._run_with_cors = allow_origins(self._run, settings)
        self._respond_to_error = respond_to_error
        self._observers = observers
        self._find_route = find_route
        self._grace = grace
        self._trusts_ids = settings.trust_request_id
        self._max_target_bytes = settings.max_query_bytes
        self._hosts = AllowedHosts(settings.allowed_hosts)
        self._forwarded = ForwardedHeaders()
        self._security = SecurityHeaders(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])  # the last of several, which the nearest proxy has added
        given_id = headers.get(b"x-request-id") if self._trusts_ids else None
        record = start_record(scope, self._find_route, given_id)
        previous = enter_guard()
        try:
            if scope["type"] == "websocket":
                # A 403, before the handshake.
                app = self._app if self._hosts.include(scope) else WebSocketClose()
                await app(scope, receive, send)
            else:
                await self._respond(record, headers, receive, send)
        finally:
            exit_budget(previous)

    async def _respond(
        self, record: RequestRecord, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        """Watch the client of a request, and complete the response and the record as it is sent."""
        self._forwarded.check(record.scope, headers)
        watch = DisconnectWatch(headers, receive, self._grace)
        response = _Sent(record, headers, send, watch, self._security, self._observers)
        send = response.send
        if record.method == "HEAD":
            send = WithoutBody(send)
        try:
            # Before CORS, which responds to a preflight request itself.
            app = self._hosts.refuse(record.scope) or self._run_with_cors
            with watch:
                await app(record.scope, watch.receive, send)
            record.status = record.status or CLIENT_CLOSED
        finally:
            response.end()

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or refuse the request, or respond to an unexpected error."""
        # Now, because a request that the application sends to itself becomes the current one.
        record: RequestRecord | None = current_request()
        try:
            refusal = refuse_long_target(scope, self._max_target_bytes)
            if record and record.method == "HEAD" and not refusal:
                record.scope = scope = routed(scope)
            await (refusal or self._app)(scope, receive, send)
        except Exception as error:
            if record and not record.status:
                response = await self._respond_to_error(Request(scope), error)
                await response(scope, receive, send)
            elif record:
                record.outcome = "broken_off"
            raise


class _Sent:
    """The response to a request as it is sent: completes its headers and its record."""

    def __init__(
        self,
        record: RequestRecord,
        received: dict[bytes, bytes],
        send: Send,
        watch: DisconnectWatch,
        security: SecurityHeaders,
        observers: Sequence[RequestObserver],
    ) -> None:
        self._received = received
        self._record = record
        self._send = send
        self._watch = watch
        self._security = security
        self._observers = observers
        self._has_ended = False
        for observer in observers:
            observer.started(record)
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Send a message of the response."""
        record: RequestRecord = self._record
        self._watch.stop()
        if message["type"] == "http.response.body":
            record.sent += len(message.get("body", b""))
            await self._send(message)
            if not message.get("more_body", False):
                self.end()  # now, because background tasks may follow
            return
        if message["type"] == "http.response.start":
            record.status = CLIENT_CLOSED if self._watch.has_disconnected else message["status"]
            # Not a foreign id, which the response of another service may have brought.
            own = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
            added = self._security.added(record.scope, self._received, own, record.root_path)
            message["headers"] = [*own, *added, (b"x-request-id", record.id.encode())]
        await self._send(message)

    def end(self) -> None:
        """Tell the observers that the request has ended, once."""
        if self._has_ended:
            return
        self._has_ended = True
        self._record.end(time.perf_counter() - self._began)
        for observer in self._observers:
            observer.finished(self._record)
