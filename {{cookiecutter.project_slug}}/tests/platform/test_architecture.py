"""The rules of the layers, as far as the source shows them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from inspect import isasyncgenfunction, iscoroutinefunction
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import DateTime

from app.core.database.sessions import SAFE_METHODS, get_async_session
from app.core.http.limits import BoundedRoute
from app.models import Base
from app.models.post import Post, PostRow
from app.models.user import User, UserRow
from app.routes import HEALTH, ROUTERS

PROJECT = Path(__file__).parents[2]
ROUTES = [
    route for router in (*ROUTERS, HEALTH) for route in router.routes if isinstance(route, APIRoute)
]
BELOW_ROUTES = ("core", "models", "repositories", "schemas", "services")


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in (PROJECT / "app" / package).rglob("*.py")]


def raised_names(path: Path) -> set[str]:
    """Return the names of the classes that a module raises, or passes on as exceptions."""
    return {
        ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and node.exc
    }


def calls(dependant: Dependant) -> Iterator[Any]:
    """Yield the endpoint and every dependency below it."""
    yield dependant.call
    for dependency in dependant.dependencies:
        yield from calls(dependency)


def test_imports_point_downward_only() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", sources(*BELOW_ROUTES), ids=str)
def test_no_http_exception_is_raised_below_the_routes(path: Path) -> None:
    assert not any(name.endswith("HTTPException") for name in raised_names(path))


def test_every_route_with_a_body_bounds_it() -> None:
    unbounded = [
        route.path
        for route in ROUTES
        if not isinstance(route, BoundedRoute) and (route.methods or set()) - SAFE_METHODS
    ]

    assert unbounded == []


@pytest.mark.parametrize("path", sources("repositories"), ids=str)
def test_repositories_never_commit(path: Path) -> None:
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert not called & {"commit", "rollback", "begin"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods}{route.path}")
def test_no_endpoint_or_dependency_runs_in_a_thread(route: APIRoute) -> None:
    for call in calls(route.dependant):
        function = call if hasattr(call, "__code__") else type(call).__call__
        assert iscoroutinefunction(function) or isasyncgenfunction(function), call


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods}{route.path}")
def test_session_is_closed_before_the_response(route: APIRoute) -> None:
    def check(dependant: Dependant) -> None:
        if isasyncgenfunction(dependant.call) or dependant.call is get_async_session:
            assert dependant.scope == "function", dependant.call
        for dependency in dependant.dependencies:
            check(dependency)

    check(route.dependant)


@pytest.mark.parametrize(("model", "row"), [(Post, PostRow), (User, UserRow)])
def test_rows_have_the_types_of_their_columns(model: type[Base], row: type[Any]) -> None:
    hints = get_type_hints(row, localns={"datetime": datetime})

    for name, hint in hints.items():
        column = model.__table__.c[name]
        kind = column.type.python_type
        assert hint == (kind | None if column.nullable else kind), name


@pytest.mark.parametrize("mapper", sorted(Base.registry.mappers, key=str), ids=str)
def test_models_have_times_with_zone_and_relationships_that_load_in_async(mapper: Any) -> None:
    for name in ("created_at", "updated_at"):
        column = mapper.columns[name]
        assert isinstance(column.type, DateTime)
        assert column.type.timezone
        assert column.server_default is not None
    assert {relationship.lazy for relationship in mapper.relationships} <= {"selectin", "joined"}
