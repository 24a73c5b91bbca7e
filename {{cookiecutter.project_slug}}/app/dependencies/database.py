from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, get_async_session

SessionDep = Annotated[AsyncSession, Depends(get_async_session)]


async def get_database(connection: HTTPConnection) -> Database:
    """Return the database, for WebSocket routes and background tasks."""
    database: Database = connection.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(get_database)]


async def get_open_session() -> Callable[[], Awaitable[AsyncSession]]:
    """Return a function that opens the session of the request.

    For routes that first do slow work without the database: before the call the request holds no
    connection, and its Idempotency-Key is not claimed.
    """
    return get_async_session


OpenSessionDep = Annotated[Callable[[], Awaitable[AsyncSession]], Depends(get_open_session)]
