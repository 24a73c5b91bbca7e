"""More requests than the service can do at once: they queue for a moment, and some are shed."""

import asyncio
import time
from collections.abc import Callable

import pytest

from faults.caller import Caller
from faults.conftest import POOL_SIZE
from faults.postgres_process import PostgresProcess

pytestmark = pytest.mark.faults

POOL_TIMEOUT = 2.0  # the service's default: the longest that a request queues
QUERY = 0.3  # seconds of a slow query; 10 connections do 33 of them in a second


async def test_overload_is_shed(
    caller: Caller,
    author_id: int,
    postgres: PostgresProcess,
    record_property: Callable[[str, object], None],
) -> None:
    body = {"author_id": author_id, "title": f"sleep {QUERY}", "body": "Body"}
    # What is measured is not the time that the client needs to open 300 connections.
    await asyncio.gather(*(caller.get("/health/live") for _ in range(300)))
    started = time.monotonic()
    burst = [asyncio.create_task(caller.post("/posts", body)) for _ in range(300)]
    await asyncio.sleep(1)
    live, ready = await caller.get("/health/live"), await caller.get("/health/ready")
    responses = await asyncio.gather(*burst)
    took = time.monotonic() - started

    served = [response for response in responses if response.status == 201]
    shed = [response for response in responses if response.status == 503]
    record_property(
        "figures",
        f"300 requests at once: {len(served)} served, {len(shed)} shed, longest "
        f"{max(response.seconds for response in responses):.2f} s, all over after {took:.2f} s",
    )
    assert (live.status, ready.status) == (200, 200)
    # Of the 66 that could be done in two seconds, most are; nobody else waits longer.
    assert len(served) >= 40
    assert len(served) + len(shed) == 300
    assert {response.json()["detail"] for response in shed} == {
        "Too many requests at once; nothing was done"
    }
    (written,) = postgres.query(
        "SELECT count(*) FROM posts WHERE author_id = %s", author_id, database="service"
    )
    assert written == len(served)
    after = await asyncio.gather(*(caller.get("/posts?limit=1") for _ in range(15)))
    assert {response.status for response in after} == {200}
    assert max(response.seconds for response in after) < 1
    caller.check(200, 201, 503)


async def test_nobody_starves_while_others_keep_the_pool_full(
    caller: Caller, author_id: int
) -> None:
    """Twice as many clients as connections, each with one request after the other."""
    body = {"author_id": author_id, "title": f"sleep {QUERY}", "body": "Body"}
    end = time.monotonic() + 4

    async def client() -> int:
        done = 0
        while time.monotonic() < end:
            response = await caller.post("/posts", body)
            done += response.status == 201
        return done

    served = await asyncio.gather(*(client() for _ in range(2 * POOL_SIZE)))

    # Each is served in its turn, so that none gets less than half of what the luckiest gets.
    assert min(served) * 2 >= max(served) > 0, served
    assert max(response.seconds for response in caller.responses) < POOL_TIMEOUT
    caller.check(201)
