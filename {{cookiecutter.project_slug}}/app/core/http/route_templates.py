"""The template of the path that a request matches, such as `/api/v1/users/{user_id}`."""

from collections.abc import Iterator, Sequence
from re import Pattern
from typing import Any, Final, NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Host, Mount
from starlette.types import Scope

from app.core.http.paths import route_path

# Maximum number of endpoints to remember that no route of the application has.
_MOST_HIDDEN: Final = 1000


class _Endpoint(NamedTuple):
    """An endpoint, held so that no other object gets its id, and the templates of its routes."""

    endpoint: Any
    templates: list[tuple[Pattern[str] | None, str]]


class RouteTemplates:
    """Finds the template of a request by the endpoint that its scope names.

    `scope["route"]` does not help: it is set for FastAPI's routes only, and lacks the prefixes of
    including routers.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._known: dict[int, _Endpoint] = {}

    def of(self, scope: Scope) -> str:
        """Return the template, or an empty text if no route has matched yet."""
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return ""
        known = self._known.get(id(endpoint)) or self._find(endpoint)
        templates = known.templates
        if len(templates) > 1:  # an endpoint with several paths
            path = route_path(scope)
            for pattern, template in templates:
                if pattern and pattern.match(path):
                    return template
        return templates[0][1]

    def _find(self, wanted: Any) -> _Endpoint:
        """Look at all routes: the first time, and when one was added since."""
        found: dict[int, _Endpoint] = {}
        for endpoint, pattern, template in _templates(self._app.routes):
            known = found.setdefault(id(endpoint), _Endpoint(endpoint, []))
            known.templates.append((pattern, template))
        if len(self._known) > len(found) + _MOST_HIDDEN:
            self._known = {}  # a mounted application creates new endpoints
        self._known |= found
        # Others belong to a mounted application that hides its routes.
        return self._known.setdefault(id(wanted), _Endpoint(wanted, [(None, "")]))


def _templates(
    routes: Sequence[BaseRoute], prefix: str = ""
) -> Iterator[tuple[Any, Pattern[str] | None, str]]:
    """Yield endpoint, pattern and template of each route, those of mounted applications included."""
    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, Mount | Host):
            path = f"{prefix}{getattr(context, 'path', None) or ''}"
            yield route.app, None, path + "/{path}"
            yield from _templates(getattr(route, "routes", None) or [], path)
        elif template := context.path_format or context.path:
            yield context.endpoint, getattr(context, "path_regex", None), f"{prefix}{template}"
