"""The path of a request, behind a prefix that a proxy or a mount adds (`root_path`).

By the ASGI specification `path` starts with `root_path`. Some servers and test clients leave it out
where a proxy has stripped it.
"""

from typing import Final

from starlette.types import Scope

# Requested by machines, every few seconds.
PROBES: Final = ("/health/live", "/health/ready", "/metrics")


def prefix(scope: Scope) -> str:
    """Return the prefix, without a slash at its end."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def route_path(scope: Scope) -> str:
    """Return the path that routes match: without the prefix."""
    path: str = scope["path"]
    if path == prefix(scope):
        return ""
    # Servers concatenate the two, so a root_path of `/api/` gives `/api//users`.
    for root in (scope.get("root_path", ""), prefix(scope)):
        inner = path.removeprefix(root)
        if inner.startswith("/"):
            return inner
    return path


def public_path(scope: Scope) -> str:
    """Return the path that the client sees: with the prefix."""
    return prefix(scope) + route_path(scope)
