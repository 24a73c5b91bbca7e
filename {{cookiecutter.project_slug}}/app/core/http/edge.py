"""The edge of a request: everything around a handler, in one function.

Use it with `APIRouter(route_class=EdgeRoute)`.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from inspect import isasyncgenfunction, isgeneratorfunction
from typing import Any, Final, NamedTuple, Protocol

from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount

from app.core.config import Settings
from app.core.database.counted_sessions import CountedSession
from app.core.database.sessions import Database
from app.core.database.unit_of_work import SESSION_DEPENDENCIES, UnitOfWork, get_async_session
from app.core.http.limits import limit_body, read_body, require_admission, stated_body_limit
from app.core.http.problems import log_failure
from app.core.observability.requests import note_outcome

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1

# The query parameter by which lists are searched.
SEARCH_PARAMETER: Final = "q"


_OVERRIDDEN: Final = (
    "get_async_session cannot be overridden: services that open the session later, the edge's commit "
    "and Idempotency-Key would ignore it. Set app.state.database instead, as tests/conftest.py does."
)


class Replay(Exception):  # noqa: N818 (a response rather than an error)
    """The request repeats an earlier one, whose stored response is `response`."""

    def __init__(self, response: Response) -> None:
        self.response = response


class Claim(Protocol):
    """What a request claims before its handler runs, such as its `Idempotency-Key`."""

    async def acquire(self, session: AsyncSession) -> None:
        """Claim it in the session's transaction. Raises `Replay` if there is a response already."""
        ...

    async def store(self, session: AsyncSession, response: Response) -> None:
        """Store the response for repetitions of the request."""
        ...


class Claims(NamedTuple):
    """How requests are claimed, and the OpenAPI entries for it. Stored in `app.state.claims`."""

    read: Callable[[Request], Claim | None]
    parameter: dict[str, Any]
    headers: dict[str, Any]


class EdgeRoute(APIRoute):
    """A route that responds after its transaction has committed."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        has_body = self.body_field is not None
        stated = stated_body_limit(self.endpoint)

        async def surround(request: Request) -> Response:
            if get_async_session in request.app.dependency_overrides:
                raise RuntimeError(_OVERRIDDEN)
            database = running_database(request.app)
            is_safe = request.method in SAFE_METHODS
            claim: Claim | None = None
            open_session: Callable[[], CountedSession]
            if has_body or not is_safe:
                settings: Settings = request.app.state.settings
                limit = stated.size(settings) if stated else settings.max_body_bytes
                request = await limit_body(request, settings, limit)
            if stated:
                await require_admission(request, stated)
            if is_safe:
                open_session = partial(_open_read_session, request, database)
            else:
                open_session = database.open_write_session
                claims: Claims | None = getattr(request.app.state, "claims", None)
                claim = claims.read(request) if claims else None
            if has_body or claim:
                await read_body(request)
            work = UnitOfWork(
                database.budget(shared=True), open_session, claim.acquire if claim else None
            )
            try:
                # First use opens the session and claims the key. Leaving the block commits.
                async with work:
                    response = await handle(request)
                    if response.status_code >= HTTPStatus.BAD_REQUEST:
                        await work.undo()
                        _drop_background_tasks(response)
                        log_failure(request, response.status_code, "returned by the handler")
                    elif claim and work.opened:
                        await claim.store(work.opened, response)
            except Replay as replay:
                note_outcome("replayed")
                return replay.response
            return response  # committed: FastAPI sends it, then runs its background tasks

        return surround


def running_database(app: FastAPI) -> Database:
    """Return the database of an application. Raises `RuntimeError` if its lifespan has not begun."""
    try:
        database: Database = app.state.database
    except AttributeError:
        raise RuntimeError(
            "The lifespan of this application has not begun. Starlette does not run that of a mounted "
            "application: enter app.router.lifespan_context(app) in the lifespan of the outer one."
        ) from None
    return database


def _drop_background_tasks(response: Response) -> None:
    """Drop the tasks that the handler has added, as FastAPI does for an error that is raised."""
    if isinstance(response.background, BackgroundTasks):
        response.background = None


def _open_read_session(request: Request, database: Database) -> CountedSession:
    """Return the session of a safe method. Its first statement chooses the replica, if that is up.

    A replica may lag behind. Clients bypass it with `Cache-Control: no-cache`. Requests that search
    use a small pool of their own.
    """
    newest = database.replica is None or _wants_newest(request)
    searches = SEARCH_PARAMETER in request.query_params
    return database.open_read_session(newest=newest, searches=searches)


def _wants_newest(request: Request) -> bool:
    directives = ",".join(request.headers.getlist("Cache-Control")).split(",")
    return "no-cache" in (directive.strip().lower() for directive in directives)


def dependencies(dependant: Dependant | None) -> set[Any]:
    """Return the dependencies of a route, direct and indirect."""
    if dependant is None:
        return set()
    below = (dependencies(dependency) for dependency in dependant.dependencies)
    return {dependant.call}.union(*below)


def wants_session(dependant: Dependant | None) -> bool:
    """Return whether a route depends on the session that the edge opens."""
    return not dependencies(dependant).isdisjoint(SESSION_DEPENDENCIES)


def require_edge(app: FastAPI) -> None:
    """Raise `TypeError` for a route that depends on a session that it cannot have.

    The session belongs to the edge of this application: the route has to be an `EdgeRoute`, and
    must not belong to a mounted application. It ends before the response, so no generator can use
    it, neither as the handler nor as a dependency.
    """
    for path, route, dependant, is_mounted in _all_routes(app.routes):
        if isinstance(route, APIWebSocketRoute):
            _require_no_request(path, dependant)
        has_session = wants_session(dependant)
        if is_mounted and (has_session or isinstance(route, EdgeRoute)):
            raise TypeError(
                f"{path} belongs to an application that is mounted, and wants the session of this "
                "one: use app.include_router"
            )
        if not has_session:
            continue
        for name in _generators_with_session(dependant):
            raise TypeError(
                f"{path}: {name} is a generator, and ends when the session is closed. Return a value "
                "instead, or use database.transaction() or database.read()."
            )
        if not isinstance(route, EdgeRoute):
            remedy = (
                "use database.transaction() or database.read() in a WebSocket route (DatabaseDep)"
                if isinstance(route, APIWebSocketRoute)
                else "create its router with route_class=EdgeRoute"
            )
            raise TypeError(f"{path} depends on a session that nothing opens: {remedy}")


def _require_no_request(path: str, dependant: Dependant | None) -> None:
    """Raise `TypeError` for a dependency that takes a request, which a WebSocket does not have."""
    if dependant is None:
        return
    if dependant.request_param_name or dependant.background_tasks_param_name:
        name = getattr(dependant.call, "__name__", dependant.call)
        raise TypeError(
            f"{path}: {name} takes a Request or BackgroundTasks, which a WebSocket does not have. Let it "
            "take an HTTPConnection, or use something else."
        )
    for dependency in dependant.dependencies:
        _require_no_request(path, dependency)


def _all_routes(
    routes: Sequence[BaseRoute], prefix: str = "", *, is_mounted: bool = False
) -> Iterator[tuple[str, BaseRoute, Dependant | None, bool]]:
    """Yield each route, mounted ones included: path, route, dependencies, and whether it belongs to
    a mounted application.
    """
    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, APIRoute | APIWebSocketRoute):
            yield f"{prefix}{context.path}", route, context.dependant, is_mounted
        elif isinstance(route, Mount | Host):
            inner: Any = route.app
            while inner and not hasattr(inner, "routes"):  # wrapped in middleware
                inner = getattr(inner, "app", None)
            if inner:
                yield from _all_routes(
                    inner.routes,
                    prefix + getattr(route, "path", ""),
                    is_mounted=is_mounted or isinstance(inner, Starlette),
                )


def _generators_with_session(dependant: Dependant | None) -> Iterator[str]:
    """Yield the names of generators that depend on the session."""
    if dependant is None or not wants_session(dependant):
        return
    call: Any = dependant.call
    if isgeneratorfunction(call) or isasyncgenfunction(call):
        yield call.__name__
    for dependency in dependant.dependencies:
        yield from _generators_with_session(dependency)
