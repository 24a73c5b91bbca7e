"""Whom a request is for, and whom it is from: the headers Host and X-Forwarded-For."""

import logging
import re
from collections.abc import Iterable
from typing import Final

from fastapi import Request, Response
from starlette.types import Scope

from app.core.http.paths import route_path
from app.core.http.problems import problem_response

# A Host header (RFC 9110, section 7.2), with or without a port.
_HOST: Final = re.compile(rb"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)\.?(:\d{1,5})?", re.IGNORECASE)

_logger: Final = logging.getLogger(__name__)


class AllowedHosts:
    """The hosts of the service: names, and domains as in `*.example.com`.

    Without names, any host is allowed.
    """

    def __init__(self, names: Iterable[str]) -> None:
        hosts = {name.encode() for name in names}
        self._any_host = not hosts
        self._hosts = {host for host in hosts if not host.startswith(b"*")}
        self._domains = tuple(host[1:] for host in hosts if host.startswith(b"*"))

    def include(self, scope: Scope) -> bool:
        """Return whether the Host header is allowed. Health checks may use any, such as an IP."""
        if self._any_host or route_path(scope).startswith("/health/"):
            return True
        named = [value for name, value in scope["headers"] if name == b"host"]
        host = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        name = host["name"].lower().rstrip(b".") if host else b""
        return name in self._hosts or name.endswith(self._domains)

    def refuse(self, scope: Scope) -> Response | None:
        """Return a 400 for a host that is not allowed, or None."""
        if self.include(scope):
            return None
        return problem_response(
            Request(scope), status=400, detail="The Host header names no host of this service"
        )


class ForwardedHeaders:
    """Warns once if X-Forwarded-For comes from an address that is not in `TRUSTED_PROXIES`.

    Either a proxy is missing there, and all its clients share one address, or a client forges its
    own.
    """

    def __init__(self) -> None:
        self._has_warned = False

    def check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Log a warning, unless a trusted proxy has replaced the address of the client."""
        if b"x-forwarded-for" not in headers or self._has_warned or not scope.get("client"):
            return
        # Each proxy may have added a header of its own.
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        peer = scope["client"][0]
        if peer.encode() not in b",".join(forwarded):
            self._has_warned = True
            _logger.warning(
                "X-Forwarded-For is ignored, because %s is not in TRUSTED_PROXIES (logged once)",
                peer,
            )
