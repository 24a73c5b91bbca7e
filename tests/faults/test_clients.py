"""Clients that go away: their queries are cancelled, and their connections are there for others."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from faults.caller import DEADLINE, Caller
from faults.conftest import POOL_SIZE
from faults.postgres_process import PostgresProcess
from faults.service_process import ServiceProcess

pytestmark = pytest.mark.faults

WORKING = "state <> 'idle'"


async def post_and_leave(
    client: httpx.AsyncClient, process: ServiceProcess, body: dict[str, Any], seconds: float
) -> None:
    """Send a request, and close the connection before it has its response."""
    with pytest.raises(httpx.ReadTimeout):
        await client.post(f"{process.url}/posts", json=body, timeout=seconds)


async def seconds_until_idle(postgres: PostgresProcess) -> float:
    started = time.monotonic()
    while postgres.sessions(WORKING):
        await asyncio.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture
async def leaving() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("clients", [1, 40])
async def test_disconnect_cancels_the_query(
    caller: Caller,
    author_id: int,
    process: ServiceProcess,
    postgres: PostgresProcess,
    leaving: httpx.AsyncClient,
    clients: int,
) -> None:
    body = {"author_id": author_id, "title": "sleep 3.8", "body": "Body"}
    requests = [
        asyncio.create_task(post_and_leave(leaving, process, body, seconds=1.5))
        for _ in range(clients)
    ]
    async with asyncio.timeout(1.4):
        while len(postgres.sessions(WORKING)) < min(clients, POOL_SIZE):
            await asyncio.sleep(0.05)
    await asyncio.gather(*requests)

    assert await seconds_until_idle(postgres) < 1.5
    (written,) = postgres.query(
        "SELECT count(*) FROM posts WHERE author_id = %s", author_id, database="service"
    )
    assert written == 0
    responses = await asyncio.gather(
        *(caller.post("/posts", body | {"title": "Title"}) for _ in range(15))
    )
    assert {response.status for response in responses} == {201}
    assert max(response.seconds for response in responses) < 1.5
    caller.check(201)


async def test_disconnect_while_a_lock_is_awaited(
    caller: Caller,
    author_id: int,
    process: ServiceProcess,
    postgres: PostgresProcess,
    leaving: httpx.AsyncClient,
) -> None:
    body = {"author_id": author_id, "title": "Title", "body": "Body"}
    with postgres.connect("service") as connection:
        connection.execute("BEGIN; LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
        await post_and_leave(leaving, process, body, seconds=0.5)
        assert await seconds_until_idle(postgres) < 1
        connection.execute("ROLLBACK")
    assert (await caller.post("/posts", body)).status == 201


async def turns_in_use(caller: Caller, author_id: int, postgres: PostgresProcess) -> int:
    """Return how many connections work at once when there is enough to do for both pools.

    A slow machine needs several attempts to open them. A turn that is lost comes back in none.
    """
    body = {"author_id": author_id, "title": "Title", "body": "Body"}
    working = 0
    for _ in range(5):
        with postgres.connect("service") as connection:
            connection.execute("BEGIN; LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
            requests = [caller.get("/posts") for _ in range(2 * POOL_SIZE)]
            requests += [caller.post("/posts", body) for _ in range(2 * POOL_SIZE)]
            responses = asyncio.gather(*requests)
            await asyncio.sleep(1)
            working = max(working, len(postgres.sessions(WORKING)))
            connection.execute("ROLLBACK")
        await responses
        if working >= 2 * POOL_SIZE:
            break
    return working


async def test_clients_that_leave_at_any_moment_take_no_turn_with_them(
    caller: Caller,
    author_id: int,
    process: ServiceProcess,
    postgres: PostgresProcess,
    leaving: httpx.AsyncClient,
) -> None:
    """They leave in the queue, while a connection is opened or tested, in a statement, in COMMIT."""

    async def come_and_go(number: int) -> None:
        if number % 50 == 0:
            postgres.terminate_sessions()
        title = random.choice(("Title", "sleep 0.1", "commit sleep 0.1"))
        body = {"author_id": author_id, "title": title, "body": "Body"}
        method, path = random.choice((("GET", "/posts"), ("POST", "/posts")))
        content: dict[str, Any] = {"json": body} if method == "POST" else {}
        with suppress(httpx.TransportError):
            timeout = random.uniform(0.001, 0.4)
            await leaving.request(method, f"{process.url}{path}", timeout=timeout, **content)

    for start in range(0, 600, 60):
        await asyncio.gather(*(come_and_go(number) for number in range(start, start + 60)))
        await asyncio.sleep(random.uniform(0, 0.2))

    assert await turns_in_use(caller, author_id, postgres) == 2 * POOL_SIZE
    caller.check(200, 201)


async def test_clients_that_leave_a_server_that_hangs_take_no_turn_with_them(
    caller: Caller,
    author_id: int,
    process: ServiceProcess,
    postgres: PostgresProcess,
    leaving: httpx.AsyncClient,
) -> None:
    await turns_in_use(caller, author_id, postgres)  # opens all connections
    await asyncio.sleep(0.2)  # from here on they are tested before their use
    body = {"author_id": author_id, "title": "Title", "body": "Body"}
    with postgres.paused():
        await asyncio.gather(
            *(post_and_leave(leaving, process, body, seconds=0.5) for _ in range(3 * POOL_SIZE))
        )
        await asyncio.sleep(0.5)

    await asyncio.sleep(DEADLINE)  # for what psycopg gives a server to cancel a statement
    assert await turns_in_use(caller, author_id, postgres) == 2 * POOL_SIZE
    caller.check(200, 201)


async def test_slow_body_holds_no_connection(
    caller: Caller, author_id: int, process: ServiceProcess, postgres: PostgresProcess
) -> None:
    """Clients that announce a body and do not send it take nothing from the others."""
    writers = [(await asyncio.open_connection("127.0.0.1", process.port))[1] for _ in range(50)]
    for writer in writers:
        writer.write(b"POST /posts HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
    await asyncio.sleep(0.3)

    assert postgres.sessions(WORKING) == []
    body = {"author_id": author_id, "title": "Title", "body": "Body"}
    assert (await caller.post("/posts", body)).status == 201
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_client_that_sends_far_too_much_gets_its_response(process: ServiceProcess) -> None:
    """A server that closes the connection first would reset it, and the response be lost."""
    head = b"POST /posts HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    for size in (3 * 2**20, 20 * 2**20):
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
            writer.write(head % size + b" " * size)
            await writer.drain()
            response = await reader.read()  # to the end of the connection
            writer.close()
            assert response.startswith(b"HTTP/1.1 413")
            assert b"CONTENT_TOO_LARGE" in response
