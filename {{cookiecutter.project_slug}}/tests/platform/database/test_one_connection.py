"""Every endpoint of the app does with one connection at a time."""

import asyncio
from collections.abc import Callable

import pytest
from fastapi import FastAPI

from app.core.database import Database
from tests.callers import CALLERS, expected_statuses, new_user
from tests.conftest import http_client
from tests.endpoints import Arrange, ArrangeOn, Endpoint, stated_endpoints
from tests.factories import Factory


@pytest.fixture
def arrange_narrow(
    arrange_on: ArrangeOn, make_live: Factory, open_database: Callable[..., Database]
) -> Arrange:
    """Prepare requests to the app with pools of one connection each."""
    narrow = open_database(database_pool_size=1, database_read_pool_size=1, database_pool_timeout=2)
    return arrange_on(narrow, make_live)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", stated_endpoints(), ids=str)
async def test_endpoint_does_with_one_connection_at_a_time(
    arrange_narrow: Arrange, endpoint: Endpoint, caller: str
) -> None:
    send = await arrange_narrow(endpoint, caller)
    key = {"Idempotency-Key": "key"} if endpoint.name.startswith("POST") else {}

    response = await send(**key)

    assert response.status_code == expected_statuses(endpoint)[CALLERS.index(caller)], response.text


async def test_many_who_register_at_once_all_get_their_answer(
    app: FastAPI, live_database: Database
) -> None:
    """Each claims a key, counts against limits and hashes; none waits with what others need."""
    app.state.database = live_database

    async def register(number: int) -> int:
        async with http_client(app, address=f"192.0.2.{number}") as client:
            body = new_user(email=f"user{number}@example.com")
            headers = {"Idempotency-Key": f"key{number}"}
            return (await client.post("/users", json=body, headers=headers)).status_code

    statuses = await asyncio.gather(*(register(number) for number in range(64)))

    assert statuses == [201] * 64
