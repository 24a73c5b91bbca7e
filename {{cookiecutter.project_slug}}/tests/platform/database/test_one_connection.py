"""Every endpoint needs one connection at a time."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from app.core.database import Database
from tests.callers import CALLERS, Arrange
from tests.conftest import http_client
from tests.endpoints import Endpoint, stated_endpoints

STATED = stated_endpoints()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", STATED, ids=str)
async def test_endpoint_does_with_one_connection_at_a_time(
    app: FastAPI,
    arrange_live: Arrange,
    open_database: Callable[..., Database],
    endpoint: Endpoint,
    caller: str,
) -> None:
    send = await arrange_live(endpoint, caller)
    app.state.database = open_database(
        database_pool_size=1, database_read_pool_size=1, database_pool_timeout=2
    )
    headers = {"Idempotency-Key": "key"} if endpoint.name.startswith("POST") else {}

    response = await send(**headers)

    assert response.status_code < 500, response.text


async def test_many_who_register_at_once_all_get_their_response(
    app_with: Callable[..., FastAPI], live_database: Database
) -> None:
    """Each claims a key, and may count against limits and hash; none waits for the others."""
    registration = next(endpoint for endpoint in STATED if endpoint.name == "POST /users")
    app = app_with(mails_per_address=1000)
    app.state.database = live_database

    async def register(client: httpx.AsyncClient, number: int) -> int:
        response = await client.post(
            "/users",
            json=registration.json | {"email": f"new{number}@example.com"},
            headers={"Idempotency-Key": f"key{number}"},
        )
        return response.status_code

    async with http_client(app) as client:
        statuses = await asyncio.gather(*(register(client, number) for number in range(64)))

    assert statuses == [201] * 64
