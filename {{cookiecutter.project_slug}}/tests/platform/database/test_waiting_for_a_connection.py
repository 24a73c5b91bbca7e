"""Waiting for a connection to a server that hangs ends in time, and takes no place of the pool away."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database import Database
from app.exceptions import UnavailableError
from tests.platform.database.conftest import without_tls
from tests.platform.database.proxy import Proxy, proxy_to

SECONDS = 0.5
LATE = 1.5  # on a busy machine

WAYS = ["connect", "ask what SQLAlchemy asks first", "ping"]


@pytest.fixture
async def hanging(
    settings: Settings, open_database: Callable[..., Database]
) -> AsyncGenerator[tuple[Database, Proxy]]:
    """A database with two connections to read, and the proxy in front of it."""
    async with proxy_to(settings.database_url) as proxy:
        yield (
            open_database(
                database_url=without_tls(proxy.url),
                database_deadline=SECONDS,
                database_read_pool_size=2,
            ),
            proxy,
        )


async def read(database: Database, seconds: float = 0) -> int:
    async with database.read() as session:
        await session.execute(text(f"SELECT pg_sleep({seconds})"))
        process: int = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        return process


async def read_at_once(database: Database) -> set[int]:
    """Use every place of the pool at the same time."""
    return set(await asyncio.gather(*(read(database, 0.1) for _ in range(2))))


async def hang_at(way: str, database: Database, proxy: Proxy) -> None:
    if way == "ping":
        await read_at_once(database)
        await asyncio.sleep(0.2)  # until the connections are no longer trusted
    if way == "ask what SQLAlchemy asks first":
        proxy.freeze_at(b"version()")
    else:
        proxy.freeze()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", WAYS)
async def test_wait_for_a_connection_ends_with_the_budget(
    hanging: tuple[Database, Proxy], way: str
) -> None:
    database, proxy = hanging
    await hang_at(way, database, proxy)

    async def wait() -> float:
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            await read(database)
        return time.monotonic() - started

    async with asyncio.timeout(20):
        took = await asyncio.gather(*(wait() for _ in range(6)))

    assert max(took) < SECONDS + LATE
    proxy.thaw()
    assert len(await read_at_once(database)) == 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", WAYS)
async def test_cancelling_those_who_wait_leaves_all_connections_usable(
    hanging: tuple[Database, Proxy], way: str
) -> None:
    database, proxy = hanging
    await hang_at(way, database, proxy)
    tasks = [asyncio.create_task(read(database)) for _ in range(6)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    async with asyncio.timeout(20):
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(result) for result in results} <= {asyncio.CancelledError, UnavailableError}
    proxy.thaw()
    assert len(await read_at_once(database)) == 2


async def test_connection_that_is_closed_at_its_deadline_is_the_only_one(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_deadline=SECONDS, database_read_pool_size=2)
    before = await read_at_once(database)

    with pytest.raises(UnavailableError, match="took too long"):
        await read(database, SECONDS * 4)

    assert len(before & await read_at_once(database)) == 1
