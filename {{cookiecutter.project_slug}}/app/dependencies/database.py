from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.sessions import Database, get_async_session

# scope="function": the session ends before the response is sent. FastAPI refuses a generator with a
# longer life that asks for it.
SessionDep = Annotated[AsyncSession, Depends(get_async_session, scope="function")]


async def get_database(request: Request) -> Database:
    """Return the database, for background tasks and checks that open their own sessions."""
    database: Database = request.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(get_database)]
