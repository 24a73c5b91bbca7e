"""Databases at a revision, and what a migration does in them."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from alembic import command
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.migrations import alembic_config
from tests.postgres import temporary_database

_BUILDER: Final = text(
    "SELECT pid FROM pg_stat_progress_create_index "
    "WHERE datname = current_database() AND phase LIKE 'waiting%'"
)


@contextmanager
def database_at(revision: str, server: URL, name: str) -> Generator[URL]:
    """Create a database at a revision, and drop it at the end."""
    with temporary_database(server, name) as url:
        command.upgrade(alembic_config(url), revision)
        yield url


async def builder(engine: AsyncEngine) -> int:
    """Return the process that creates an index, once it waits for other transactions."""
    async with asyncio.timeout(20), engine.connect() as connection:
        while (pid := await connection.scalar(_BUILDER)) is None:
            await connection.rollback()
            await asyncio.sleep(0.01)
        return int(pid)
