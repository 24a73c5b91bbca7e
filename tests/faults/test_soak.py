"""Mixed load for a while: memory, connections and tasks stay what they were."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from faults.caller import Caller
from faults.conftest import POOL_SIZE
from faults.postgres_process import PostgresProcess, wait_until
from faults.service_process import Service, ServiceProcess

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
WARM_UP = 0.3  # of that time
CLIENTS = 8


@pytest.fixture(scope="module")
def service(service: Service) -> Service:
    """Return the service with a route that counts its tasks."""
    return service.serving("counted:app")


async def count_tasks(caller: Caller) -> int:
    number: int = (await caller.get("/tasks")).json()
    return number


@pytest.mark.soak
async def test_nothing_grows(
    caller: Caller,
    author_id: int,
    process: ServiceProcess,
    postgres: PostgresProcess,
    record_property: Callable[[str, object], None],
) -> None:
    tasks = await count_tasks(caller)
    end = time.monotonic() + MINUTES * 60
    statuses: set[int] = set()

    async def client() -> None:
        while time.monotonic() < end:
            await mixed_requests(caller, author_id)
            statuses.update(caller.by_status())
            caller.responses.clear()

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    curve = []
    for _ in range(20):
        await asyncio.sleep(MINUTES * 60 / 20)
        curve.append(process.rss() / 2**20)
    await asyncio.gather(*clients)

    warm = curve[int(len(curve) * WARM_UP) :]
    (written,) = postgres.query("SELECT count(*) FROM posts", database="service")
    record_property(
        "figures",
        f"{MINUTES:g} minutes, {written} posts written, RSS in MiB {[round(rss) for rss in curve]}",
    )
    assert statuses <= {200, 201, 204, 304, 404, 422}
    assert max(warm) <= warm[0] * 1.05
    await asyncio.sleep(1)
    assert await count_tasks(caller) == tasks
    assert postgres.sessions("state <> 'idle'") == []
    await asyncio.to_thread(
        wait_until,
        lambda: len(postgres.sessions()) <= 2 * POOL_SIZE + 1,  # of the readiness check
        "no more than these are kept",
    )


async def mixed_requests(caller: Caller, author_id: int) -> None:
    """Do a little of everything, errors and a client that leaves included."""
    key = uuid4().hex
    body = {"author_id": author_id, "title": key, "body": "Body " * random.randint(1, 500)}
    written = await caller.post("/posts", body, key=key)
    await caller.post("/posts", body, key=key)
    path = f"/posts/{written.json()['id']}"
    read = await caller.get(path)
    await caller.send("GET", path, headers={"If-None-Match": read.headers["etag"]})
    await caller.patch(path, {"title": key[::-1]})
    await caller.get(f"/posts?limit=20&author_id={author_id}")
    await caller.post("/posts", {"author_id": author_id})
    if random.random() < 0.02:
        leaving = asyncio.create_task(caller.post("/posts", body | {"title": "sleep 1"}))
        await asyncio.sleep(0.3)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    if random.random() < 0.5:
        await caller.send("DELETE", path)
        await caller.get(path)
