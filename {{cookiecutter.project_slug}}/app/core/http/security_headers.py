"""Security headers on every response, and the check of the Host header."""

import logging
import re
from inspect import isroutine
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from app.core.config import Settings
from app.core.http.edge import SAFE_METHODS
from app.core.http.paths import route_path
from app.core.http.problems import problem_response

Headers = list[tuple[bytes, bytes]]

# A Host header (RFC 9110, section 7.2), with or without a port.
_HOST: Final = re.compile(rb"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)\.?(:\d{1,5})?", re.IGNORECASE)

_BASIC: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
# For data: if a browser renders a response, nothing in it may run or be loaded.
_STRICT_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
# For mounted applications, whose pages load what they name: an admin interface, static files.
_MOUNTED_POLICY: Final = (
    b"content-security-policy",
    b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
)
_NO_STORE: Final = (b"cache-control", b"no-store")
# One year, in seconds. Over HTTPS only (RFC 6797), so not in development.
_HTTPS_ONLY: Final = b"max-age=31536000"

_logger: Final = logging.getLogger(__name__)


class ForwardedHeaders:
    """Warns once if X-Forwarded-For comes from an address that is not in `TRUSTED_PROXIES`.

    Either a proxy is missing there, and all its clients share one address, or a client forges its
    own.
    """

    def __init__(self) -> None:
        self._has_warned = False

    def check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Log a warning, unless a trusted proxy has replaced the address of the client."""
        forwarded = headers.get(b"x-forwarded-for")
        if forwarded is None or self._has_warned or not scope.get("client"):
            return
        peer = scope["client"][0]
        if peer.encode() not in forwarded:
            self._has_warned = True
            _logger.warning(
                "X-Forwarded-For is ignored, because %s is not in TRUSTED_PROXIES (logged once)",
                peer,
            )


class SecurityHeadersMiddleware:
    """ASGI middleware: adds security headers, and responds with 400 to an unknown Host header.

    Headers set by the response win. `no-store` is added if the request identifies its caller or its
    method is unsafe, and if the response sets a cookie.
    """

    def __init__(self, app: ASGIApp, settings: Settings, forwarded: ForwardedHeaders) -> None:
        self._app = app
        self._forwarded = forwarded
        self._identifying = {name.lower().encode() for name in settings.identifying_headers}
        subdomains = b"; includeSubDomains" if settings.hsts_include_subdomains else b""
        self._https_only = (b"strict-transport-security", _HTTPS_ONLY + subdomains)
        hosts = {host.encode() for host in settings.allowed_hosts}
        self._any_host = not hosts
        self._hosts = {host for host in hosts if not host.startswith(b"*")}
        self._domains = tuple(host[1:] for host in hosts if host.startswith(b"*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        app = self._app if self._any_host or self._is_allowed_host(scope) else _refuse
        if scope["type"] == "websocket":
            await app(scope, receive, send)
            return
        extra = self._headers(scope)
        root_path = scope.get("root_path", "")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = dict(message["headers"])
                if _is_mounted(scope, root_path):
                    extra[:] = [_MOUNTED_POLICY if one == _STRICT_POLICY else one for one in extra]
                if b"set-cookie" in present and _NO_STORE not in extra:
                    extra.append(_NO_STORE)
                others = [pair for pair in extra if pair[0] not in present]
                message["headers"] = [*message["headers"], *others]
            await send(message)

        await app(scope, receive, send_with_headers)

    def _headers(self, scope: Scope) -> Headers:
        headers = [*_BASIC, _STRICT_POLICY]
        received = dict(scope["headers"])
        self._forwarded.check(scope, received)
        if scope["method"] not in SAFE_METHODS or not self._identifying.isdisjoint(received):
            headers.append(_NO_STORE)
        if scope.get("scheme") == "https":
            headers.append(self._https_only)
        return headers

    def _is_allowed_host(self, scope: Scope) -> bool:
        """Return whether the Host header is allowed. Health checks may use any, such as an IP."""
        if route_path(scope).startswith("/health/"):
            return True
        named = [value for name, value in scope["headers"] if name == b"host"]
        host = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        name = host["name"].lower().rstrip(b".") if host else b""
        return name in self._hosts or name.endswith(self._domains)


def _is_mounted(scope: Scope, root_path: str) -> bool:
    """Return whether a mounted application responds. It extends the `root_path`, unless it is at `/`."""
    if scope.get("root_path", "") != root_path:
        return True
    return "route" not in scope and "endpoint" in scope and not isroutine(scope["endpoint"])


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocketClose()(scope, receive, send)  # a 403, before the handshake
        return
    refusal = problem_response(
        Request(scope), status=400, detail="The Host header names no host of this service"
    )
    await refusal(scope, receive, send)
