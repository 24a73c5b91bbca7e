"""Providers of services, each created with the session and the caller of the request.

They are coroutines, because FastAPI runs plain functions and classes in a thread pool, which is
slower (see docs/decisions/0006).
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
    """A service class, whose constructor takes the session and the caller."""

    def __call__(
        self, session: AsyncSession, caller: permissions.Caller | None = None
    ) -> ServiceT_co: ...


@cache
def service(kind: ServiceClass[ServiceT_co]) -> Callable[..., Awaitable[ServiceT_co]]:
    """Return a dependency that provides a service to a known caller."""

    async def provide(caller: Caller, session: SessionDep) -> ServiceT_co:
        return kind(session, caller)

    return provide


@cache
def public_service(kind: ServiceClass[ServiceT_co]) -> Callable[..., Awaitable[ServiceT_co]]:
    """Return a dependency that provides a service to anyone, without identifying the caller."""

    async def provide(session: SessionDep) -> ServiceT_co:
        return kind(session)

    return provide
