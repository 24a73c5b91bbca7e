"""GET is served by a streaming replica while that one is up, and everything else by the primary."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from http_responses import Response

from faults.caller import DEADLINE, MARGIN, Caller, calling, create_author
from faults.postgres_process import PostgresProcess, wait_until
from faults.replica_process import ReplicaProcess, replicating
from faults.service_process import Service, ServiceProcess, serving

pytestmark = pytest.mark.faults

CONNECT_TIMEOUT = 2.0  # the service's default
RETRY = 5.0  # seconds between two attempts to use a replica that is down
CLIENTS = 10

NEWEST = {"Cache-Control": "max-age=0, no-cache"}


@pytest.fixture(scope="module")
def shared_replica(postgres: PostgresProcess) -> Iterator[ReplicaProcess]:
    with replicating(postgres) as replica:
        yield replica


@pytest.fixture
def replica(shared_replica: ReplicaProcess) -> Iterator[ReplicaProcess]:
    """Return the replica when it has caught up, and leave it as it was."""
    shared_replica.catch_up()
    yield shared_replica
    if not shared_replica.is_running():
        shared_replica.start()
    shared_replica.resume()
    shared_replica.catch_up()


@pytest.fixture(scope="module")
def service(service: Service, shared_replica: ReplicaProcess) -> Service:
    variables = {"DATABASE_REPLICA_URL": shared_replica.url("service", user="app")}
    return replace(service, environment=service.environment | variables)


@pytest.fixture
def process(lasting_process: ServiceProcess) -> Iterator[ServiceProcess]:
    seen = len(lasting_process.complaints())
    yield lasting_process
    assert lasting_process.complaints()[seen:] == []


@pytest.fixture
async def author_id(caller: Caller, replica: ReplicaProcess) -> int:
    """Create an author of whom the replica knows."""
    author_id = await create_author(caller)
    replica.catch_up()
    caller.responses.clear()
    return author_id


def serves(server: PostgresProcess) -> bool:
    """Say whether the service has connections to a server."""
    rows = server.query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")
    return rows != [0]


def test_doctor_tells_the_replica_from_the_primary(
    service: Service, replica: ReplicaProcess
) -> None:
    printed = service.run("app", "doctor")
    assert re.search("ok +database +DATABASE_REPLICA_URL: ", printed), printed
    assert re.search("ok +replica +1 x 13 = 13 of ", printed), printed

    variables = {"DATABASE_URL": replica.url("service", user="app")}
    wrong = replace(service, environment=service.environment | variables)
    with pytest.raises(AssertionError, match=r"DATABASE_URL: .*, a replica\. To do: name the"):
        wrong.run("app", "doctor")


@asynccontextmanager
async def reading(caller: Caller, path: str) -> AsyncIterator[None]:
    """Let many clients read all the time."""
    stop = asyncio.Event()

    async def read() -> None:
        while not stop.is_set():
            await caller.get(path)

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(read())
        yield
        stop.set()


async def test_lagging_replica_serves_safe_methods_and_nothing_else(
    caller: Caller, author_id: int, replica: ReplicaProcess
) -> None:
    replica.lag()
    body = {"author_id": author_id, "title": "New", "body": "Text"}
    created = await caller.post("/posts", body)
    assert created.status == 201
    post = created.headers["Location"]

    assert (await caller.get(post)).status == 404
    assert (await caller.send("GET", post, headers=NEWEST)).status == 200
    assert (await caller.get("/posts")).json()["items"] == []
    newest = await caller.send("GET", "/posts", headers=NEWEST)
    assert [item["title"] for item in newest.json()["items"]] == ["New"]
    match = {"If-Match": created.headers["ETag"]}
    changed = await caller.send("PATCH", post, json={"title": "Changed"}, headers=match)
    assert changed.status == 200
    again = await caller.send("PATCH", post, json={"title": "Lost"}, headers=match)
    assert again.status == 412

    replica.catch_up()
    assert (await caller.get(post)).json()["title"] == "Changed"
    assert (await caller.send("DELETE", post)).status == 204


async def test_reads_move_to_the_primary_when_the_replica_stops_and_back_again(
    caller: Caller,
    author_id: int,
    replica: ReplicaProcess,
    record_property: Callable[[str, object], None],
) -> None:
    user = f"/users/{author_id}"
    async with reading(caller, user):
        await asyncio.sleep(1)
        assert serves(replica)
        await asyncio.to_thread(replica.stop)
        await asyncio.sleep(MARGIN)  # for what is under way
        caller.responses, before = [], caller.responses
        await asyncio.sleep(2)
        during = caller.responses
        caller.responses = []
        await asyncio.to_thread(replica.start)
        await asyncio.to_thread(wait_until, lambda: serves(replica), "reads return", 3 * RETRY)
    after = caller.responses

    record_property(
        "figures",
        f"{len(before + during + after)} reads; at the stop "
        f"{sum(response.status != 200 for response in before)} lost their connection in a query, "
        f"then {len(during)} by the primary, {len(after)} until the replica was back: all 200",
    )
    caller.responses = before
    caller.check(200, 503)
    assert sum(response.status == 503 for response in before) <= CLIENTS
    caller.responses = during + after
    caller.check(200)


async def test_replica_that_hangs_is_given_up(
    caller: Caller,
    author_id: int,
    replica: ReplicaProcess,
    record_property: Callable[[str, object], None],
) -> None:
    user = f"/users/{author_id}"
    async with reading(caller, user):
        await asyncio.sleep(1)
        replica.pause()
        paused = time.monotonic()
        await asyncio.sleep(DEADLINE + MARGIN)
        hanging, caller.responses = caller.responses, []
        # From here on one read in five seconds waits for the replica, and is then served.
        await asyncio.sleep(RETRY)
        served, caller.responses = caller.responses, []
        replica.resume()
        await asyncio.to_thread(wait_until, lambda: serves(replica), "reads return", 3 * RETRY)

    caller.responses, after = hanging + served, caller.responses
    caller.check(200, 503)
    longest = caller.longest()
    slow = sorted(round(response.seconds, 1) for response in served if response.seconds > 1)
    record_property(
        "figures",
        f"{len(hanging)} reads, {sum(response.status == 503 for response in hanging)} of them 503, "
        f"longest {longest:.2f} s; then {len(served)} by the primary, slow: {slow}",
    )
    assert time.monotonic() - paused > DEADLINE
    assert sum(response.status == 503 for response in hanging) <= CLIENTS
    assert {response.status for response in served + after} == {200}
    assert len(slow) <= 2
    assert max(slow, default=0) < CONNECT_TIMEOUT + MARGIN


async def test_idle_connections_to_a_replica_that_hangs_cost_a_connect_timeout_at_most(
    caller: Caller, author_id: int, replica: ReplicaProcess
) -> None:
    user = f"/users/{author_id}"
    await asyncio.gather(*(caller.get(user) for _ in range(CLIENTS)))
    replica.pause()

    async def read(after: float) -> Response:
        await asyncio.sleep(after)
        return await caller.get(user)

    # Some time apart, so that one has been given up while others still wait.
    first = await asyncio.gather(*(read(number / CLIENTS) for number in range(CLIENTS)))
    then = await asyncio.gather(*(caller.get(user) for _ in range(CLIENTS)))
    write = await caller.patch(user, {"display_name": "Changed"})
    replica.resume()

    assert {response.status for response in first + then} == {200}
    assert max(response.seconds for response in first) < CONNECT_TIMEOUT + MARGIN
    assert max(response.seconds for response in then) < MARGIN
    assert write.status == 200


async def test_service_starts_without_its_replica(
    shared_replica: ReplicaProcess, service: Service, tmp_path: Path
) -> None:
    shared_replica.catch_up()
    shared_replica.stop()
    try:
        with serving(service, tmp_path / "log-alone") as process:
            async with calling(process.url) as caller:
                responses = [await caller.get("/posts"), await caller.get("/health/ready")]
    finally:
        shared_replica.start()

    assert [response.status for response in responses] == [200, 200]
