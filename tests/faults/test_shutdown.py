"""SIGTERM lets requests finish; SIGKILL leaves nothing half done."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faults.caller import BROKEN, Caller, calling, create_author
from faults.postgres_process import PostgresProcess, wait_until
from faults.service_process import Service, ServiceProcess, serving

pytestmark = pytest.mark.faults

DRAIN_SECONDS = 2.0
ENDED = (
    -signal.SIGTERM
)  # uvicorn raises it again when it is done; PID 1 of a container exits with 0


@pytest.fixture
def process(service: Service, tmp_path: Path) -> Iterator[ServiceProcess]:
    """Start a process for each test: none outlives it."""
    variables = service.environment | {"DRAIN_SECONDS": str(DRAIN_SECONDS)}
    with serving(replace(service, environment=variables), tmp_path / "log") as process:
        yield process
    assert process.complaints() == []


@pytest.fixture
async def caller(process: ServiceProcess) -> AsyncIterator[Caller]:
    async with calling(process.url) as caller:
        yield caller


@pytest.fixture
async def author_id(caller: Caller) -> int:
    return await create_author(caller)


def post(author_id: int, title: str) -> dict[str, Any]:
    return {"author_id": author_id, "title": title, "body": "Body"}


async def test_sigterm_lets_requests_finish_and_then_ends_the_process(
    caller: Caller, author_id: int, process: ServiceProcess, postgres: PostgresProcess
) -> None:
    assert (await caller.get("/health/ready")).status == 200
    # Longer than the drain: the server has to wait for it after it stopped listening.
    writing = asyncio.create_task(caller.post("/posts", post(author_id, "sleep 3")))
    await asyncio.sleep(0.3)
    process.signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    ready, live = await caller.get("/health/ready"), await caller.get("/health/live")
    late = await caller.post("/posts", post(author_id, "late"))
    response = await writing
    exit_code = await asyncio.to_thread(process.wait)

    assert (ready.status, live.status) == (503, 200)
    assert late.status == response.status == 201
    assert exit_code == ENDED
    titles = postgres.query(
        "SELECT title FROM posts WHERE author_id = %s", author_id, database="service"
    )
    assert sorted(titles) == ["late", "sleep 3"]
    wait_until(lambda: not postgres.sessions(), "the pool is closed")
    assert (await caller.get("/health/live")).status == BROKEN
    caller.check(200, 201, 503, BROKEN)


async def test_second_sigterm_does_not_wait_for_the_drain(process: ServiceProcess) -> None:
    process.signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    process.signal(signal.SIGTERM)
    async with asyncio.timeout(DRAIN_SECONDS - 0.5):
        assert await asyncio.to_thread(process.wait) == ENDED


async def test_sigterm_while_the_database_is_down(
    caller: Caller, process: ServiceProcess, postgres: PostgresProcess
) -> None:
    assert (await caller.get("/posts")).status == 200
    with postgres.paused():
        assert await asyncio.to_thread(process.terminate) == ENDED


@pytest.mark.parametrize("moment", ["sleep", "commit sleep"])
async def test_sigkill_in_mid_request_leaves_no_partial_write(
    caller: Caller,
    author_id: int,
    process: ServiceProcess,
    postgres: PostgresProcess,
    moment: str,
) -> None:
    posts = [{"title": "Title", "body": "Body"}] * 5
    last = [*posts, {"title": f"{moment} 2", "body": "Body"}]
    users = [
        {"email": f"{moment[0]}{author_id}-{number}@example.com", "display_name": "Imported"}
        for number in range(20)
    ]
    body = {"users": [*(user | {"posts": posts} for user in users[1:]), users[0] | {"posts": last}]}
    writing = asyncio.create_task(caller.post("/users/import", body, key="import"))
    await asyncio.sleep(1)
    assert postgres.sessions("state = 'active'")
    process.kill()
    assert (await writing).status == BROKEN
    await asyncio.to_thread(wait_until, lambda: not postgres.sessions(), "the server has noticed")

    (written,) = postgres.query(
        "SELECT (SELECT count(*) FROM users WHERE display_name = 'Imported'),"
        " (SELECT count(*) FROM posts WHERE author_id > %s),"
        " (SELECT count(*) FROM idempotency_keys)",
        author_id,
        database="service",
    )
    if moment == "sleep":
        assert written == (0, 0, 0)
    else:  # the COMMIT was under way: all of it or nothing
        assert written in {(20, 101, 1), (0, 0, 0)}
    postgres.query("TRUNCATE users, idempotency_keys CASCADE", database="service")
