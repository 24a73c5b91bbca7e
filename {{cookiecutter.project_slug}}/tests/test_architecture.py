"""Rules of the layers, checked in the source and in the app.

Routes are read from the app, and tables from the metadata, so that no list has to be kept.
"""

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from sqlalchemy import (
    CheckConstraint,
    Constraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Table,
    UniqueConstraint,
)
from starlette.routing import BaseRoute

from app.core.config import Settings
from app.core.database.constraints import declared_refusals
from app.core.http.edge import SAFE_METHODS, EdgeRoute, dependencies
from app.core.http.limits import stated_body_limit
from app.models import Base

PROJECT: Final = Path(__file__).parents[1]
BELOW_ROUTES: Final = ("core", "models", "repositories", "schemas", "services")


def modules(package: str) -> list[str]:
    """Return the names of the modules of a package and of its subpackages."""
    folder = PROJECT.joinpath(*package.split("."))
    return [module.name for module in pkgutil.walk_packages([str(folder)], f"{package}.")]


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in (PROJECT / "app" / package).rglob("*.py")]


def raised_names(path: Path) -> set[str]:
    """Return the names of the exceptions that a module raises."""
    return {
        ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and node.exc
    }


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


ENTITIES: Final = {mapper.class_.__name__ for mapper in Base.registry.mappers}


def statements_that_load_unasked(source: str) -> list[str]:
    """Return the selects of objects in a statement or method that nowhere says `raiseload`."""
    found = []
    top = ast.parse(source).body
    for definition in [
        inner
        for outer in top
        for inner in (outer.body if isinstance(outer, ast.ClassDef) else [outer])
    ]:
        calls = [node for node in ast.walk(definition) if isinstance(node, ast.Call)]
        if any(ast.unparse(call.func).endswith("raiseload") for call in calls):
            continue
        for call in calls:
            names = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
            if ast.unparse(call.func) == "select" and names & ENTITIES:
                found.append(ast.unparse(call))
    return found


@pytest.mark.parametrize("path", sources("repositories"), ids=str)
def test_no_statement_for_objects_loads_what_it_was_not_asked_for(path: Path) -> None:
    found = statements_that_load_unasked(path.read_text(encoding="utf-8"))

    assert found == [], 'add .options(raiseload("*"))'


def test_statement_that_loads_unasked_is_found() -> None:
    source = """
_IDS = select(User.id)
_USERS = select(User).options(raiseload("*"))
class UserRepository:
    def one(self): return select(User).options(raiseload("*"))
    def another(self): return select(User).where(User.is_active)
"""

    assert statements_that_load_unasked(source) == ["select(User)"]


WITHOUT_COMMIT: Final = ("dependencies", "jobs", "repositories", "routes", "services")


@pytest.mark.parametrize("path", sources(*WITHOUT_COMMIT), ids=str)
def test_the_edge_alone_commits(path: Path) -> None:
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert not called & {"commit", "rollback", "begin"}


def api_routes(app: FastAPI) -> list[RouteContext]:
    contexts = iter_route_contexts(app.routes)
    return [context for context in contexts if isinstance(context.original_route, APIRoute)]


def named(routes: Iterable[BaseRoute | None]) -> set[str]:
    return {
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def routes_of(module: str) -> set[str]:
    """Return the routes of all routers of a module, whatever their names."""
    routers = [one for one in vars(import_module(module)).values() if isinstance(one, APIRouter)]
    return named(route for router in routers for route in router.routes)


def test_every_router_is_mounted(app: FastAPI) -> None:
    mounted = named(context.original_route for context in api_routes(app))
    forgotten = {
        name: sorted(routes - mounted)
        for name in modules("app.routes")
        if (routes := routes_of(name)) - mounted
    }

    assert not forgotten, f"add their routers to ROUTERS in app/routes/__init__.py: {forgotten}"


def test_every_model_is_registered() -> None:
    """Migrations do not see a model that is not imported."""
    command = "import app.models, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", command], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    forgotten = set(modules("app.models")) - set(result.stdout.split())
    assert not forgotten, f"import these in app/models/__init__.py: {sorted(forgotten)}"


def test_every_route_that_changes_something_has_the_edge(app: FastAPI) -> None:
    """Without the edge there is no body limit, no transaction and no Idempotency-Key."""
    without = [
        f"{context.methods} {context.path}"
        for context in iter_route_contexts(app.routes)
        if set(context.methods or ()) - SAFE_METHODS
        and not isinstance(context.original_route, EdgeRoute)
    ]

    assert not without, f"create their routers with route_class=EdgeRoute: {without}"


# The statuses of what a route depends on: the caller, the service, If-Match, the session.
OF_DEPENDENCIES: Final = {401, 403, 409, 412, 428}


def test_routes_do_not_list_what_follows_from_their_dependencies(app: FastAPI) -> None:
    listed = [
        f"{context.methods} {context.path}: {sorted(listed)}"
        for context in api_routes(app)
        if (listed := OF_DEPENDENCIES.intersection(context.responses))
    ]

    assert not listed, f"declare them at a dependency, by @may_respond(...): {listed}"


@pytest.mark.parametrize("path", sources("routes"), ids=str)
def test_services_get_the_caller_in_their_constructor(path: Path) -> None:
    passed = [
        f"{function.name}: {ast.unparse(call)}"
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.AsyncFunctionDef)
        for call in calls_with_the_caller(function)
    ]

    assert not passed, f"let the provider of the service take it: {passed}"


def test_call_with_the_caller_is_found() -> None:
    passed = ("user", "what=user", "other, *[user]")
    (route, *_) = ast.parse(
        "async def change(a: Service, *, user: FreshCaller) -> None:\n"
        + "".join(f"    await a.change({arguments})\n" for arguments in (*passed, "user.id"))
    ).body

    assert isinstance(route, ast.AsyncFunctionDef)
    found = [ast.unparse(call) for call in calls_with_the_caller(route)]
    assert found == [f"a.change({arguments})" for arguments in passed]


def calls_with_the_caller(function: ast.AsyncFunctionDef) -> Iterator[ast.Call]:
    """Yield the calls by which a route passes its caller to another parameter.

    The caller's id may be that of the user to change.
    """
    parameters = {
        one.arg: ast.unparse(one.annotation)
        for one in (*function.args.args, *function.args.kwonlyargs)
        if one.annotation
    }
    callers = {name for name, kind in parameters.items() if kind.endswith("Caller")}
    for call in ast.walk(function):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=receiver)), args=given):
                values = [*given, *(keyword.value for keyword in call.keywords)]
                parts = [part for value in values for part in ast.walk(value)]
                owners = [part.value for part in parts if isinstance(part, ast.Attribute)]
                names = {
                    part.id for part in parts if isinstance(part, ast.Name) and part not in owners
                }
                if receiver in parameters and callers & names:
                    yield call


def test_no_endpoint_or_dependency_runs_in_a_thread(app: FastAPI) -> None:
    in_threads = [
        f"{call} of {context.path}"
        for context in api_routes(app)
        for call in dependencies(context.dependant)
        if not is_asynchronous(call)
    ]

    assert not in_threads, f"make them coroutine functions: {in_threads}"


def is_asynchronous(call: Any) -> bool:
    function = call if hasattr(call, "__code__") else type(call).__call__
    return iscoroutinefunction(function) or isasyncgenfunction(function)


def test_generators_of_dependencies_end_before_the_response(app: FastAPI) -> None:
    too_late = [
        f"{generator} of {context.path}"
        for context in api_routes(app)
        for generator in late_generators(context.dependant)
    ]

    # With that scope they end before the response, but after the commit: they can close something,
    # but not refuse the request.
    assert not too_late, f'declare them with scope="function": {too_late}'


def late_generators(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        if isasyncgenfunction(dependency.call) and dependency.scope != "function":
            yield dependency.call
        yield from late_generators(dependency)


EITHER: Final = ("anyOf", "oneOf")
LIMITS: Final = {"maximum", "exclusiveMaximum", "enum", "const"}


def test_integers_of_clients_have_a_maximum(app: FastAPI) -> None:
    document = app.openapi()
    unlimited = [
        f"{method.upper()} {path}: {schema}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for part in (operation.get("parameters", []), operation.get("requestBody", {}))
        for schema in schemas_in(part, document["components"]["schemas"])
        if schema.get("type") == "integer" and not LIMITS & schema.keys()
    ]

    assert not unlimited, "use a type of app/core/types.py, or le=...:\n" + "\n".join(unlimited)


def test_body_limits_leave_room_for_the_longest_texts(app: FastAPI, settings: Settings) -> None:
    """A character has up to four bytes in UTF-8. Of a list, one item counts."""
    document = app.openapi()
    too_low = []
    for context in api_routes(app):
        route = context.original_route
        assert isinstance(route, APIRoute)
        stated = stated_body_limit(route.endpoint)
        limit = stated.size(settings) if stated else settings.max_body_bytes
        for method in context.methods or ():
            operation = document["paths"].get(context.path_format, {}).get(method.lower(), {})
            for content in operation.get("requestBody", {}).get("content", {}).values():
                longest = 4 * longest_text(content["schema"], document["components"]["schemas"])
                if longest > limit:
                    too_low.append(f"{method} {context.path}: {longest} of {limit} bytes")

    assert not too_low, f"state a higher limit at the route, by @body_limit(...): {too_low}"


def longest_text(
    schema: dict[str, Any], components: dict[str, Any], within: frozenset[str] = frozenset()
) -> int:
    """Return how many characters the texts of a schema can have together, once where it contains itself."""
    length_of = partial(longest_text, components=components, within=within)
    if reference := schema.get("$ref"):
        if reference in within:
            return 0
        target = components[reference.rpartition("/")[2]]
        return longest_text(target, components, within | {reference})
    parts = [*schema.get("properties", {}).values(), *schema.get("allOf", [])]
    parts += [schema["items"]] if "items" in schema else []
    either = (length_of(one) for key in EITHER for one in schema.get(key, []))
    return sum(map(length_of, parts)) + max(either, default=0) + int(schema.get("maxLength", 0))


def test_length_of_a_body_that_contains_itself_is_found() -> None:
    to_itself = {"anyOf": [{"$ref": "#/components/schemas/Node"}, {"type": "null"}]}
    node = {"properties": {"name": {"maxLength": 20}, "parent": to_itself}}

    assert longest_text(to_itself, {"Node": node}) == 20


def schemas_in(part: object, components: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schemas in a part of an OpenAPI document, and those that they refer to."""
    waiting, seen = [part], set()
    while waiting:
        match waiting.pop():
            case {"$ref": str(reference)} if reference not in seen:
                seen.add(reference)
                waiting.append(components[reference.rpartition("/")[2]])
            case dict(schema):
                yield schema
                waiting += schema.values()
            case list(schemas):
                waiting += schemas


@pytest.mark.parametrize("mapper", sorted(Base.registry.mappers, key=str), ids=str)
def test_models_have_times_with_zone_and_relationships_that_load_in_async(mapper: Any) -> None:
    times = [column for column in mapper.columns if isinstance(column.type, DateTime)]
    assert [column for column in times if not column.type.timezone] == []
    for name in ("created_at", "updated_at"):
        assert mapper.columns[name] in times
        assert mapper.columns[name].server_default is not None
    assert {relationship.lazy for relationship in mapper.relationships} <= {"selectin", "joined"}


def breakable(table: Table) -> Iterator[tuple[Constraint | Index, str]]:
    """Yield the constraints that a client's data can violate, each with a declaration to paste."""
    for index in table.indexes:
        if index.unique:
            yield index, 'refusal(ConflictError, "... {value} is taken")'
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield constraint, 'refusal(ConflictError, "... {value} is taken")'
        elif isinstance(constraint, ForeignKeyConstraint):
            target = constraint.referred_table.name.removesuffix("s").capitalize()
            yield constraint, f'refusal(NotFoundError, "{target} ' + '{value} not found")'
        elif isinstance(constraint, CheckConstraint):
            yield constraint, f'refusal(ValidationError, "{constraint.sqltext}")'


def test_every_constraint_declares_its_error() -> None:
    silent = [
        f"{constraint.name} of {table.name}: info={hint}"
        for table in Base.metadata.sorted_tables
        for constraint, hint in breakable(table)
        if constraint.name not in declared_refusals()
    ]

    assert not silent, "Clients would get a 500. Declare their errors in the models:\n" + "\n".join(
        silent
    )
