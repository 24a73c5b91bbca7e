"""Every endpoint of the app gets by with one connection at a time."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from fastapi import FastAPI

from app.core.database import Database
from app.core.http.edge import SAFE_METHODS
from tests.callers import CALLERS, expected_statuses, new_user
from tests.conftest import http_client
from tests.endpoint_proposals import example_request
from tests.endpoints import OPEN, Arrange, ArrangeOn, Endpoint, routes, stated_endpoints
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
    if "send the request without Idempotency-Key" in response.text:  # it would store a secret
        response = await send()

    assert response.status_code == expected_statuses(endpoint)[CALLERS.index(caller)], response.text


async def test_no_route_that_writes_waits_for_what_it_holds(
    app: FastAPI, arrange_narrow: Arrange
) -> None:
    """Each kind of caller at once, with a key and without one."""
    stated = {endpoint.name: endpoint for endpoint in stated_endpoints()}
    for name in sorted(routes(app)):
        if name.partition(" ")[0] in SAFE_METHODS:
            continue
        endpoint = stated.get(name) or Endpoint(
            name, OPEN, 0, **example_request(app, name, is_new=True)
        )
        sends = [
            partial(await arrange_narrow(endpoint, caller), **headers)
            for caller in CALLERS
            for headers in ({}, {"Idempotency-Key": f"key of {caller}"})
        ]

        responses = await asyncio.gather(*(send() for send in sends))

        assert 503 not in {response.status_code for response in responses}, name


async def test_many_who_register_at_once_all_get_their_response(
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
