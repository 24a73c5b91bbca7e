"""What the tests of resources state about their endpoints, and the requests made from it.

Each module in `tests/routes/` may have a list `ENDPOINTS`, and a dictionary `PATH_PARAMETERS` with
functions that write the row of a `{parameter}`. `tests/test_endpoints.py` tests the statements.
"""

import re
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from sqlalchemy import event

from app.core.database import Database
from app.core.http.edge import dependencies
from app.models.user import User
from tests.factories import Factory

# Writes a row, owned by the user if it has an owner, or returns the value of the parameter.
Maker = Callable[[Factory, User], Awaitable[Any]]

# Sends a request, which `Arrange` has made for an endpoint and one of `CALLERS`, with more headers.
Send = Callable[..., Awaitable[httpx.Response]]
# Writes the rows that the request names, and returns what sends it.
Arrange = Callable[["Endpoint", str], Awaitable[Send]]
ArrangeOn = Callable[[Database, Factory], Arrange]
# Returns the headers of the requests of a user.
HeadersOf = Callable[[Factory, User], Awaitable[dict[str, str]]]

_TESTS: Final = Path(__file__).parent
PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Access(Enum):
    """Who may call an endpoint."""

    OPEN = "anyone"
    CALLER = "any known caller: the route depends on `Caller`"
    OWNER = "the owner or an admin: the service calls `require_owner_or_admin`"
    ADMIN = "an admin: the route depends on `require_admin`"


OPEN, CALLER, OWNER, ADMIN = Access


@dataclass(frozen=True)
class Endpoint:
    """A request to an endpoint: its response, who may send it, and how many statements it runs.

    `statements` are the SQL statements of the endpoint itself, without BEGIN and COMMIT, and
    without the one that reads the caller. In path, query and body, `"{user_id}"` stands for the id
    of a row that a function in `PATH_PARAMETERS` writes; the row of `user_id` is the owner. An
    endpoint whose statements depend on the query has an entry for each kind of it.
    """

    name: str  # method and path, as in "GET /users/{user_id}"
    access: Access
    statements: int
    status: int = 200
    json: Any = None
    data: Mapping[str, str] | None = None
    query: str = ""

    def __str__(self) -> str:
        return f"{self.name}{self.query and '?'}{self.query} {self.status}"

    async def request(self, make: Factory, owner: User) -> dict[str, Any]:
        """Write the rows that the request names, and return the arguments of `client.request`."""
        names = set(PARAMETER.findall(repr((self.name, self.query, self.json, self.data))))
        values = await path_values(names, make, owner)
        method, path = self.name.format(**values).split()
        return {
            "method": method,
            "url": f"{path}?{self.query.format(**values)}" if self.query else path,
            "json": _filled(self.json, values),
            "data": _filled(self.data, values),
        }


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Replace the parameters in a body by their values."""
    match template:
        case dict():
            return {name: _filled(value, values) for name, value in template.items()}
        case list():
            return [_filled(value, values) for value in template]
        case str() if parameter := PARAMETER.fullmatch(template):
            return values.get(parameter[1], template)
    return template


@cache
def large_bodies() -> dict[str, Callable[[int], Iterator[tuple[str, bytes]]]]:
    """Return the `LARGE_BODIES` of all modules in `tests/routes/`.

    They yield bodies of up to a given size that are costly for a route, each with a name.
    """
    return {
        name: bodies
        for module in _modules()
        for name, bodies in getattr(module, "LARGE_BODIES", {}).items()
    }


def _modules() -> tuple[ModuleType, ...]:
    return tuple(
        import_module(".".join(path.relative_to(_TESTS.parent).with_suffix("").parts))
        for path in sorted((_TESTS / "routes").rglob("test_*.py"))
    )


def stated_endpoints() -> list[Endpoint]:
    """Return the `ENDPOINTS` of all modules in `tests/routes/`."""
    return [endpoint for module in _modules() for endpoint in getattr(module, "ENDPOINTS", ())]


def path_parameters() -> dict[str, Maker]:
    """Return the `PATH_PARAMETERS` of all modules in `tests/routes/`."""
    parameters: dict[str, Maker] = {}
    for module in _modules():
        parameters |= getattr(module, "PATH_PARAMETERS", {})
    return parameters


async def path_values(names: set[str], make: Factory, owner: User) -> dict[str, Any]:
    """Write the rows of path parameters, and return the values of the parameters."""
    known = path_parameters()
    rows = {name: await known[name](make, owner) for name in sorted(names) if name in known}
    return {name: getattr(row, "id", row) for name, row in rows.items()}


def routes(app: FastAPI) -> dict[str, RouteContext]:
    """Return every HTTP route of the app, by method and path."""
    return {
        f"{method} {context.path_format}": context
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }


def depends_on(context: RouteContext, dependency: Callable[..., Any]) -> bool:
    """Return whether a route has a dependency, directly or indirectly."""
    return dependency in dependencies(context.dependant)


@contextmanager
def recorded_statements(database: Database) -> Generator[list[str]]:
    """Yield a list to which each statement on the database's engines is added."""
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engines = [engine.sync_engine for engine in database.engines.values()]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", record)
