"""The index is created without blocking writes, and the migration can be repeated if it fails."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from alembic import command
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.database.migrations import PARAMETERS, alembic_config
from tests.migrations.databases import builder, database_at
from tests.postgres import make_test_engine

REVISION_BEFORE: Final = "5d83f0a1c972"
REVISION: Final = "7b90d4e2c158"
LOCK_TIMEOUT: Final = float(PARAMETERS["lock_timeout"].removesuffix("s"))
INSERT: Final = text(
    "INSERT INTO users (email, display_name, is_active) "
    "SELECT gen_random_uuid() || '@example.com', 'Ann', n % 100 <> 0 "
    "FROM generate_series(1, CAST(:number AS int)) AS n"
)


@pytest.fixture
def url(template_url: URL, worker_id: str) -> Generator[URL]:
    """A database at the previous revision."""
    name = f"{template_url.database}_{worker_id}_index"
    with database_at(REVISION_BEFORE, template_url, name) as url:
        yield url


@pytest.fixture
async def engine(url: URL) -> AsyncGenerator[AsyncEngine]:
    """Connections of other clients, which fail instead of waiting for a lock. Users exist."""
    engine = make_test_engine(url)
    async with writing(engine):
        pass
    yield engine
    await engine.dispose()


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
    """Write users in a transaction that is committed at the end of the block."""
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
        await connection.execute(INSERT, {"number": 100})
        yield connection


def migrate(url: URL) -> asyncio.Task[None]:
    return asyncio.create_task(asyncio.to_thread(command.upgrade, alembic_config(url), REVISION))


async def index_is_valid(engine: AsyncEngine) -> bool | None:
    """Return whether queries use the index, or None if it does not exist."""
    statement = text(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_users_is_active_id')"
    )
    async with engine.connect() as connection:
        valid: bool | None = await connection.scalar(statement)
        return valid


async def test_users_are_written_while_the_index_is_made(url: URL, engine: AsyncEngine) -> None:
    """Even if that takes longer than the lock timeout of migrations."""
    async with writing(engine) as earlier:
        migration = migrate(url)
        await builder(engine)
        end = asyncio.get_running_loop().time() + LOCK_TIMEOUT + 0.5
        while asyncio.get_running_loop().time() < end:
            async with writing(engine):
                pass
            await earlier.execute(INSERT, {"number": 1})
            await asyncio.sleep(0.05)
        assert not migration.done()
        assert not await index_is_valid(engine)
    await migration

    assert await index_is_valid(engine)


async def test_index_left_by_a_failed_attempt_is_replaced(url: URL, engine: AsyncEngine) -> None:
    async with writing(engine) as earlier:
        migration = migrate(url)
        pid = await builder(engine)
        await earlier.execute(text("SELECT pg_cancel_backend(:pid)"), {"pid": pid})
        with pytest.raises(DBAPIError, match="cancel"):
            await migration
    assert await index_is_valid(engine) is False

    await migrate(url)

    assert await index_is_valid(engine)
