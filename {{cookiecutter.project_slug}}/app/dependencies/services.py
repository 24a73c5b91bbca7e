"""Providers of services, each created with the session and the caller of the request.

They are coroutines, because FastAPI runs plain functions and classes in a thread pool, which is
slower (see docs/decisions/0006). They ask for the session themselves, which costs less than a
dependency of their own.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.unit_of_work import get_async_session, takes_session
from app.dependencies.caller import Caller, OptionalCaller
from app.services import permissions

ServiceT_co = TypeVar("ServiceT_co", covariant=True)


class ServiceClass(Protocol[ServiceT_co]):
    """A service class, whose constructor takes the session and the caller."""

    def __call__(
        self, session: AsyncSession, caller: permissions.Caller | None = None
    ) -> ServiceT_co: ...


@cache
def service(kind: ServiceClass[ServiceT_co]) -> Callable[..., Awaitable[ServiceT_co]]:
    """Return a dependency that provides a service to a known caller."""

    @takes_session
    async def provide(caller: Caller) -> ServiceT_co:
        return kind(await get_async_session(), caller)

    return provide


@cache
def viewer_service(kind: ServiceClass[ServiceT_co]) -> Callable[..., Awaitable[ServiceT_co]]:
    """Return a dependency that provides a service to anyone, with the caller if they are known."""

    @takes_session
    async def provide(caller: OptionalCaller) -> ServiceT_co:
        return kind(await get_async_session(), caller)

    return provide


@cache
def public_service(kind: ServiceClass[ServiceT_co]) -> Callable[..., Awaitable[ServiceT_co]]:
    """Return a dependency that provides a service to anyone, without identifying the caller."""

    @takes_session
    async def provide() -> ServiceT_co:
        return kind(await get_async_session())

    return provide
