from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, get_async_session
from app.core.database.unit_of_work import get_open_session
from app.core.http.edge import running_database

SessionDep = Annotated[AsyncSession, Depends(get_async_session)]


async def get_database(connection: HTTPConnection) -> Database:
    """Return the database, for WebSocket routes and background tasks."""
    return running_database(connection.app)


DatabaseDep = Annotated[Database, Depends(get_database)]


OpenSessionDep = Annotated[Callable[[], Awaitable[AsyncSession]], Depends(get_open_session)]
