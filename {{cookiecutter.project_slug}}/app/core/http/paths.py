"""The path of a request, behind a prefix that a proxy or a mount adds (`root_path`).

By the ASGI specification `path` starts with `root_path`. Some servers and test clients leave it out
where a proxy has stripped it.
"""

from starlette.types import Scope


def route_path(scope: Scope) -> str:
    """Return the path that routes match: without the prefix."""
    path: str = scope["path"]
    inner = path.removeprefix(scope.get("root_path", "").rstrip("/"))
    return inner if inner.startswith("/") else path


def public_path(scope: Scope) -> str:
    """Return the path that the client sees: with the prefix."""
    root: str = scope.get("root_path", "").rstrip("/")
    return root + route_path(scope)
