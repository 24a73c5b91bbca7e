"""Commands that show what the service serves, without a database."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.commands import commands
from app.core.env_file import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI
    from fastapi.routing import APIRoute

    from tests.endpoints import Endpoint

# A row of `app routes`, by the names of its columns. A column without values is not shown.
Row = dict[str, Any]


@commands.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI document."""
    typer.echo(json.dumps(_make_app().openapi(), indent=2))


@commands.command("routes")
def routes_command(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the routes, with the number of statements that the tests state, and body limits."""
    # Only a measurement gives the number of statements. The tests measure, and fail unless it is what
    # ENDPOINTS states, so that is shown; a copy in the package could differ from it.
    stated = _stated_endpoints()
    rows = sorted(_rows(_make_app(), stated), key=lambda row: (row["path"], row["method"]))
    if not as_json:
        rows = [_with_query_in_path(row) for row in rows]
    shown = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    if as_json:
        typer.echo(json.dumps([{name: row[name] for name in shown} for row in rows], indent=2))
        return
    table = [shown, *([_text(row[name]) for name in shown] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _make_app() -> FastAPI:
    """Return the app with placeholders for required settings, on which routes do not depend."""
    from app.core.config import Settings, load_settings
    from app.main import create_app

    required = {
        name: secrets.token_urlsafe(48)
        for name, field in Settings.model_fields.items()
        if field.is_required()
    }
    placeholders = required | {"database_url": "postgresql://localhost/unused"}
    return create_app(load_settings(Settings, **placeholders))


def _stated_endpoints() -> dict[str, list[Endpoint]]:
    """Return what the tests state of each endpoint, by method and path. Says so if there are none."""
    found: dict[str, list[Endpoint]] = {}
    try:
        if not (PROJECT / "tests" / "endpoints.py").exists():
            raise ImportError("there are no tests here")
        from tests.endpoints import stated_endpoints

        for endpoint in stated_endpoints():
            found.setdefault(endpoint.name, []).append(endpoint)
    except ImportError as reason:  # or the development dependencies are not installed
        typer.echo(f"No statements are shown: {reason}", err=True)
    return found


def _rows(app: FastAPI, stated: dict[str, list[Endpoint]]) -> Iterator[Row]:
    """Yield a row for each request that is stated of a route, and at least one for each route."""
    from fastapi.routing import APIRoute, iter_route_contexts

    from app.cli.access import who_may_call
    from app.core.http.edge import dependencies

    prefix = app.state.settings.api_prefix
    for context in iter_route_contexts(app.routes):
        path = context.path_format or ""
        route = context.original_route
        calls: set[Any] = set()
        max_body: int | None = None
        if isinstance(route, APIRoute):  # others serve pages, such as the documentation
            calls, max_body = dependencies(context.dependant), _max_body(app, route)
        for method in sorted(set(context.methods or ()) - {"HEAD"}):
            found: list[Any] = stated.get(f"{method} {path.removeprefix(prefix)}") or [None]
            for endpoint in found:
                yield {
                    "method": method,
                    "path": path,
                    "query": _parameters(endpoint.query) if endpoint else None,
                    "who": who_may_call(calls, endpoint.access.name if endpoint else ""),
                    "statements": endpoint.statements if endpoint else None,
                    "status": endpoint.status if endpoint else None,
                    "max_body": max_body,
                }


def _parameters(query: str) -> str | None:
    """Return the names in a query, by which the requests to a route differ, or None."""
    return "&".join(part.partition("=")[0] for part in query.split("&")) or None


def _with_query_in_path(row: Row) -> Row:
    """Return a row of the table, which has no column for the few queries."""
    query = f"?{row['query']}" if row["query"] else ""
    return row | {"path": row["path"] + query, "query": None}


def _max_body(app: FastAPI, route: APIRoute) -> int | None:
    """Return the limit of the body of a route, in bytes, or None if it takes none."""
    from app.core.http.limits import stated_body_limit

    if route.body_field is None:
        return None
    settings = app.state.settings
    stated = stated_body_limit(route.endpoint)
    return stated.size(settings) if stated else int(settings.max_body_bytes)


def _text(value: object) -> str:
    return "" if value is None else str(value)
