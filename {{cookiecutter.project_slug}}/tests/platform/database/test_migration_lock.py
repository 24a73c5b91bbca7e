"""One process at a time migrates a database, whatever its defaults are."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import IO, Final

import pytest
from alembic import command
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.migrations import alembic_config
from app.core.env_file import PROJECT
from tests.migrations.databases import builder, database_at
from tests.postgres import execute, make_test_engine

pytestmark = pytest.mark.long

# The second one creates an index concurrently, which waits for older transactions.
REVISION_BEFORE: Final = "5d83f0a1c972"
REVISION: Final = "7b90d4e2c158"
VERSION: Final = text("SELECT version_num FROM alembic_version")


@pytest.fixture
def url(template_url: URL, worker_id: str) -> Generator[URL]:
    name = f"{template_url.database}_{worker_id}_lock"
    with database_at(REVISION_BEFORE, template_url, name) as url:
        yield url


@pytest.fixture
async def engine(url: URL) -> AsyncGenerator[AsyncEngine]:
    engine = make_test_engine(url)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def migrating(url: URL, engine: AsyncEngine) -> AsyncGenerator[asyncio.Task[None]]:
    """Migrate by a revision that is not done before the end of the block."""
    async with engine.begin() as earlier:
        await earlier.execute(text("LOCK TABLE users IN ROW EXCLUSIVE MODE"))
        upgrade = asyncio.to_thread(command.upgrade, alembic_config(url), REVISION)
        migration = asyncio.create_task(upgrade)
        await builder(engine)
        yield migration
    async with asyncio.timeout(20):
        await migration


@contextmanager
def second_process(url: URL) -> Generator[subprocess.Popen[str]]:
    """Start a process that migrates. It is killed if it hangs, which ends all that wait for it.

    At the end of the block, too.
    """
    environment = os.environ | {"DATABASE_URL": url.render_as_string(hide_password=False)}
    process = subprocess.Popen(
        [sys.executable, "-m", "alembic", "upgrade", REVISION],
        cwd=PROJECT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = threading.Timer(30, process.kill)
    end.start()
    try:
        yield process
    finally:
        end.cancel()
        process.kill()
        process.wait()


async def wait_for_a_second_one(url: URL, engine: AsyncEngine) -> None:
    """Migrate in two processes at once. The second one says that it waits, and does."""
    with ExitStack() as processes:
        async with migrating(url, engine) as migration:
            second = processes.enter_context(second_process(url))
            said = await asyncio.to_thread(lines_until, second.stderr, "Waiting for another")
            with pytest.raises(subprocess.TimeoutExpired):
                await asyncio.to_thread(second.wait, 1)
            assert not migration.done()
        rest = (await asyncio.to_thread(second.communicate, timeout=30))[1]

    assert second.returncode == 0, (said, rest)
    assert "Waiting for" not in rest  # it says so once
    async with engine.connect() as connection:
        assert await connection.scalar(VERSION) == REVISION


def lines_until(output: IO[str] | None, start: str) -> list[str]:
    assert output
    lines: list[str] = []
    while not (lines and lines[-1].startswith(start)):
        lines.append(output.readline())
        assert lines[-1], lines
    return lines


async def test_second_process_waits_for_the_first(url: URL, engine: AsyncEngine) -> None:
    await wait_for_a_second_one(url, engine)


async def test_lock_outlasts_the_longest_transaction_of_the_database(
    url: URL, engine: AsyncEngine
) -> None:
    async with engine.connect() as connection:
        name = "transaction_timeout"
        if not await connection.scalar(text(f"SELECT current_setting('{name}', true)")):
            pytest.skip("transaction_timeout came with PostgreSQL 17")
    limit = f'ALTER DATABASE "{url.database}" SET {name} = 500'
    await asyncio.to_thread(execute, url, limit)

    await wait_for_a_second_one(url, engine)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_lock_keeps_no_snapshot(url: URL, level: str) -> None:
    """CREATE INDEX CONCURRENTLY would wait for it, for ever."""
    isolation = f"ALTER DATABASE \"{url.database}\" SET default_transaction_isolation = '{level}'"
    await asyncio.to_thread(execute, url, isolation)

    with second_process(url) as process:
        _, said = await asyncio.to_thread(process.communicate)
    assert process.returncode == 0, said
