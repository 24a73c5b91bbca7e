"""The edge of a request: everything around a handler, in one function.

Use it with `APIRouter(route_class=EdgeRoute)`.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import Mount

from app.core.database.sessions import Database
from app.core.database.unit_of_work import UnitOfWork, get_async_session, get_open_session
from app.core.http.limits import limit_body, read_body

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1


class Replay(Exception):  # noqa: N818 (a response rather than an error)
    """The request repeats an earlier one, whose stored response is `response`."""

    def __init__(self, response: Response) -> None:
        self.response = response


class Claim(Protocol):
    """The `Idempotency-Key` of a request."""

    async def acquire(self, session: AsyncSession) -> None:
        """Claim the key in the session's transaction. Raises `Replay` if it has a response."""
        ...

    async def store(self, session: AsyncSession, response: Response) -> None:
        """Store the response for repetitions of the request."""
        ...


class EdgeRoute(APIRoute):
    """A route that responds after its transaction has committed."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        has_body = self.body_field is not None

        async def surround(request: Request) -> Response:
            database: Database = request.app.state.database
            is_safe = request.method in SAFE_METHODS
            claim: Claim | None = None
            open_session: Callable[[], Awaitable[AsyncSession]]
            if has_body or not is_safe:
                request = await limit_body(request)
            if is_safe:
                open_session = partial(_open_read_session, request, database)
            else:
                open_session = database.open_write_session
                claim = request.app.state.read_idempotency_key(request)
            if has_body or claim:
                await read_body(request)
            work = UnitOfWork(
                database.budget(shared=True), open_session, claim.acquire if claim else None
            )
            try:
                async with work:
                    response = await handle(request)
                    if response.status_code >= HTTPStatus.BAD_REQUEST:
                        await work.undo()
                    elif claim and work.opened:
                        await claim.store(work.opened, response)
            except Replay as replay:
                return replay.response
            return response  # committed: FastAPI sends it, then runs its background tasks

        return surround


async def _open_read_session(request: Request, database: Database) -> AsyncSession:
    """Open the session of a safe method, on a replica if there is one.

    A replica may lag behind. Clients bypass it with `Cache-Control: no-cache`.
    """
    newest = database.replica is None or _wants_newest(request)
    return await database.open_read_session(newest=newest)


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
    return not dependencies(dependant).isdisjoint({get_async_session, get_open_session})


def require_edge(app: FastAPI) -> None:
    """Raise `TypeError` for a route that depends on a session but is not an `EdgeRoute`.

    Nor may a mounted application have one, for the edge uses the database of its own.
    """
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            for mounted in iter_route_contexts(route.app.routes):
                if wants_session(getattr(mounted.original_route, "dependant", None)):
                    raise TypeError(
                        f"{route.path}{mounted.path} depends on a session, and is mounted: "
                        "use app.include_router"
                    )
        if isinstance(route, EdgeRoute) or not isinstance(route, APIRoute | APIWebSocketRoute):
            continue
        if wants_session(context.dependant):
            remedy = (
                "use database.transaction() or database.read() in a WebSocket route (DatabaseDep)"
                if isinstance(route, APIWebSocketRoute)
                else "create its router with route_class=EdgeRoute"
            )
            raise TypeError(f"{context.path} depends on a session that nothing opens: {remedy}")
