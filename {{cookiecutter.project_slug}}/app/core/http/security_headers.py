"""Security headers on every response."""

from inspect import isroutine
from typing import Final

from starlette.types import Scope

from app.core.config import Settings
from app.core.http.edge import SAFE_METHODS

Headers = list[tuple[bytes, bytes]]

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


class SecurityHeaders:
    """The security headers of responses. Headers set by the response win.

    `no-store` is added if the request identifies its caller or its method is unsafe, and if the
    response sets a cookie.
    """

    def __init__(self, settings: Settings) -> None:
        self._identifying = {name.lower().encode() for name in settings.identifying_headers}
        subdomains = b"; includeSubDomains" if settings.hsts_include_subdomains else b""
        self._https_only = (b"strict-transport-security", _HTTPS_ONLY + subdomains)

    def added(
        self, scope: Scope, received: dict[bytes, bytes], present: Headers, root_path: str
    ) -> Headers:
        """Return the headers to add to a response.

        `received` are the headers of the request, `present` those of the response, and `root_path` is
        that of the request when it arrived.
        """
        names = {name for name, _ in present}
        added = [*_BASIC, _MOUNTED_POLICY if _is_mounted(scope, root_path) else _STRICT_POLICY]
        if (
            scope["method"] not in SAFE_METHODS
            or not self._identifying.isdisjoint(received)
            or b"set-cookie" in names
        ):
            added.append(_NO_STORE)
        if scope.get("scheme") == "https":
            added.append(self._https_only)
        return [header for header in added if header[0] not in names]


def _is_mounted(scope: Scope, root_path: str) -> bool:
    """Return whether a mounted application responds.

    A mounted application extends the `root_path`, except one mounted at `/`.
    """
    if scope.get("root_path", "") != root_path:
        return True
    return "route" not in scope and "endpoint" in scope and not isroutine(scope["endpoint"])
