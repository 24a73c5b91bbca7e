import asyncio
from collections.abc import AsyncGenerator

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.config import Settings
from app.core.database import Database
from app.core.security import passwords
from app.services.auth import registration_service
from tests.auth.accounts import new_user
from tests.conftest import http_client

DEADLINE = 1  # in seconds


@pytest.fixture
async def narrow(live_database: Database) -> AsyncGenerator[Database]:
    """A database with one connection to write on, and little time."""
    changes = {"database_pool_size": 1, "database_deadline": DEADLINE}
    database = Database(live_database.settings.model_copy(update=changes))
    yield database
    await database.dispose()


async def test_wait_for_a_hash_takes_neither_a_connection_nor_time_of_the_database(
    app: FastAPI, narrow: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even with an idempotency key, which is claimed in the transaction of the new user."""
    app.state.database = narrow
    hashing, go_on = asyncio.Event(), asyncio.Event()

    async def wait(password: SecretStr, settings: Settings) -> str:
        hashing.set()
        await go_on.wait()
        return await passwords.hash_password(password, settings)

    monkeypatch.setattr(registration_service, "hash_password", wait)
    async with http_client(app) as client, asyncio.timeout(60):
        registration = asyncio.create_task(
            client.post("/users", json=new_user(), headers={"Idempotency-Key": "key"})
        )
        await hashing.wait()
        await asyncio.sleep(2 * DEADLINE)
        async with narrow.transaction() as session:
            await session.connection()  # the only one
        go_on.set()

        assert (await registration).status_code == 201
