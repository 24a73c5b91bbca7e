"""How routes get into the application: each of them directly, so that a request is matched once."""

from inspect import signature
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute


def add_routes(
    app: FastAPI,
    router: APIRouter,
    *,
    prefix: str = "",
    responses: dict[int | str, dict[str, Any]] | None = None,
) -> None:
    """Declare a router's routes on the app itself, under a prefix and with further responses.

    `app.include_router` keeps the router, and then matches each request twice, once to find the
    router and once to find the route: a tenth of a small request's function calls (measured).
    Raises `TypeError` for what is neither an HTTP nor a WebSocket route of FastAPI.
    """
    for route in router.routes:
        if not isinstance(route, APIRoute | APIWebSocketRoute):
            raise TypeError(f"{route!r} is no route of FastAPI: add it to the app itself")
        changed = {
            "path": prefix + route.path,
            "dependency_overrides_provider": app,
            "generate_unique_id_function": app.router.generate_unique_id_function,
            "responses": {**(responses or {}), **getattr(route, "responses", {})},
        }
        parameters = signature(type(route)).parameters
        # Whatever a route is made with, it keeps under the same name.
        values: dict[str, Any] = {
            name: changed.get(name, getattr(route, name, None)) for name in parameters
        }
        app.router.routes.append(type(route)(**values))
