from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, get_async_session

SessionDep = Annotated[AsyncSession, Depends(get_async_session)]


async def get_database(request: Request) -> Database:
    """Return the database, for background tasks and checks that open their own sessions."""
    database: Database = request.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(get_database)]
