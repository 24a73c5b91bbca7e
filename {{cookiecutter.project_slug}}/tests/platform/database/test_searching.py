"""Requests that search (`?q=`) have a pool of their own: others do not wait for them."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database import Database
from app.dependencies.database import SessionDep
from tests.conftest import http_client
from tests.platform.database.apps import edged

SEARCHERS = 20
PLACES = 2
LOCK = text("SELECT pg_advisory_xact_lock(815)")


@pytest.fixture
async def client(
    settings: Settings, open_database: Callable[..., Database]
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of an app whose searches last as long as somebody holds the lock."""
    database = open_database(
        database_read_pool_size=4,
        database_search_pool_size=PLACES,
        database_pool_timeout=1,
        database_lock_timeout=60,
        database_statement_timeout=60,
    )
    app = edged(settings, database)

    @app.get("/things")
    async def read_things(session: SessionDep, q: str | None = None) -> bool:
        await session.execute(LOCK if q else text("SELECT 1"))
        return q is not None

    async with http_client(app) as client:
        yield client


async def test_searching_clients_keep_nobody_else_waiting(
    client: httpx.AsyncClient, live_database: Database
) -> None:
    async with live_database.transaction() as holder:
        await holder.execute(LOCK)
        searches = [
            asyncio.create_task(client.get("/things", params={"q": "abc"}))
            for _ in range(SEARCHERS)
        ]
        await asyncio.sleep(0.2)
        others = await asyncio.gather(*(client.get("/things") for _ in range(SEARCHERS)))
        assert {response.status_code for response in others} == {200}
        async with asyncio.timeout(20):
            while sum(search.done() for search in searches) < SEARCHERS - PLACES:
                await asyncio.sleep(0.05)
    responses = await asyncio.gather(*searches)

    # First come, first served: the others are sent away when they have waited for a second.
    assert [response.status_code for response in responses] == [200] * PLACES + [503] * (
        SEARCHERS - PLACES
    )
    assert {response.headers["retry-after"] for response in responses[PLACES:]} == {"1"}
    assert "Too many requests at once" in responses[-1].json()["detail"]


async def test_searches_that_end_soon_are_all_served_in_turn(client: httpx.AsyncClient) -> None:
    searches = (client.get("/things", params={"q": "abc"}) for _ in range(SEARCHERS))

    responses = await asyncio.gather(*searches)

    assert {response.status_code for response in responses} == {200}


async def test_search_cannot_write(open_database: Callable[..., Database]) -> None:
    session = open_database().open_read_session(searches=True)
    async with session:
        assert await session.scalar(text("SHOW default_transaction_read_only")) == "on"
