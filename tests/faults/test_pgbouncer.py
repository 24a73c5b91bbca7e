"""By one setting the service works through PgBouncer's transaction mode, with either driver.

PgBouncer before 1.21 knows nothing of prepared statements, and a newer one is told to keep none:
two messages of a client reach the same server only within a transaction.
"""

import asyncio
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from baking import project_environment
from http_responses import Response

from faults.caller import DEADLINE, Caller, calling, create_author
from faults.pgbouncer_process import PgBouncerProcess, keeps_statements, pooling
from faults.postgres_process import PostgresProcess, wait_until
from faults.service_process import Service, ServiceProcess, serving

pytestmark = pytest.mark.faults

SERVERS = 2
CLIENTS = 50
ROUNDS = 8  # of seven requests for each client

# As many connections to the pooler as there are clients: to write, and to read.
POOLED = {
    "DATABASE_POOLER": "true",
    "DATABASE_POOL_SIZE": str(CLIENTS),
    "DATABASE_READ_POOL_SIZE": str(CLIENTS),
}


@pytest.fixture(scope="module")
def pooler(postgres: PostgresProcess) -> Iterator[PgBouncerProcess]:
    with pooling(postgres, SERVERS) as pooler:
        yield pooler


@pytest.fixture(scope="module")
def service(service: Service, pooler: PgBouncerProcess) -> Service:
    """Return the service behind the pooler, with the limits of its role set."""
    pooled = through(pooler, service, **POOLED)
    pooled.run("app", "set-limits")
    pooler.reconnect()
    return pooled


@pytest.fixture
def process(lasting_process: ServiceProcess) -> Iterator[ServiceProcess]:
    seen = len(lasting_process.complaints())
    yield lasting_process
    assert lasting_process.complaints()[seen:] == []


def through(
    pooler: PgBouncerProcess, service: Service, database: str = "service", **variables: str
) -> Service:
    variables["DATABASE_URL"] = pooler.url(database)
    return replace(service, environment=service.environment | variables)


async def use(caller: Caller, name: str, author_id: int) -> list[str]:
    """Send seven requests whose responses nobody else may get; return what was wrong with them."""
    wrong = []

    def expect(response: Response, status: int, **members: object) -> Response:
        found = response.json() if response.status == status and members else {}
        if response.status != status or members.items() - found.items():
            wrong.append(f"{status} {members} expected: {response}")
        return response

    body = {"author_id": author_id, "title": name, "body": f"by {name}"}
    retried = {"Idempotency-Key": str(uuid4())}
    created = expect(await caller.send("POST", "/posts", json=body, headers=retried), 201, **body)
    if created.status != 201:
        return wrong
    post = f"/posts/{created.json()['id']}"
    again = await caller.send("POST", "/posts", json=body, headers=retried)
    expect(again, 201, id=created.json()["id"])
    expect(await caller.send("GET", post), 200, **body)
    expect(await caller.send("GET", f"/users/{author_id}"), 200, id=author_id)
    unchanged = {"If-None-Match": created.headers["ETag"]}
    expect(await caller.send("GET", post, headers=unchanged), 304)
    title = {"title": f"{name} again"}
    match = {"If-Match": created.headers["ETag"]}
    expect(await caller.send("PATCH", post, json=title, headers=match), 200, **body | title)
    expect(await caller.send("GET", "/posts?limit=3"), 200)
    return wrong


async def use_by_many(caller: Caller, author_id: int, rounds: int) -> list[str]:
    async def use_repeatedly(client: int) -> list[str]:
        return [
            fault
            for n in range(rounds)
            for fault in await use(caller, f"client {client}, round {n}", author_id)
        ]

    wrong = await asyncio.gather(*(use_repeatedly(client) for client in range(CLIENTS)))
    return [fault for faults in wrong for fault in faults]


async def test_many_clients_share_few_servers(
    caller: Caller,
    author_id: int,
    pooler: PgBouncerProcess,
    record_property: Callable[[str, object], None],
) -> None:
    wrong = await use_by_many(caller, author_id, ROUNDS)

    statuses = Counter(response.status for response in caller.responses)
    servers = [row for row in pooler.show("SERVERS") if row["database"] == "service"]
    clients = [row for row in pooler.show("CLIENTS") if row["database"] == "service"]
    longest = max(response.seconds for response in caller.responses)
    record_property(
        "figures",
        f"{len(caller.responses)} requests {dict(statuses)}, longest {longest:.2f} s, "
        f"{len(clients)} connections to the pooler on {len(servers)} servers",
    )
    assert wrong == []
    assert len(servers) <= SERVERS
    assert len(clients) > 10 * SERVERS


async def test_statements_that_the_pooler_keeps_are_found_on_each_server(
    service: Service, postgres: PostgresProcess, tmp_path: Path
) -> None:
    if not keeps_statements():
        pytest.skip("PgBouncer keeps prepared statements from 1.21 on")
    with pooling(postgres, SERVERS, statements=100) as keeping:
        # Few connections, since psycopg prepares what a connection has executed five times.
        few = dict.fromkeys(("DATABASE_POOL_SIZE", "DATABASE_READ_POOL_SIZE"), "10")
        prepares = through(keeping, service, DATABASE_POOLER_PREPARES="true", **few)
        with serving(prepares, tmp_path / "log") as process:
            async with calling(process.url) as caller:
                wrong = await use_by_many(caller, await create_author(caller), 2)
        kept = [row["prepared_statements"] for row in keeping.show("SERVERS")]

    assert wrong == []
    assert process.complaints() == []
    assert len(kept) == SERVERS
    assert min(kept) > 0


async def test_it_takes_the_setting(
    service: Service, postgres: PostgresProcess, tmp_path: Path
) -> None:
    """Else the test above would show nothing."""
    parameters = "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,options"
    with pooling(postgres, SERVERS, f"ignore_startup_parameters = {parameters}") as lenient:
        naive = through(lenient, service, DATABASE_POOLER="false")
        with serving(naive, tmp_path / "log-naive") as process:
            async with calling(process.url) as caller:
                await asyncio.gather(*(caller.get("/posts") for _ in range(CLIENTS * 8)))

    assert [response for response in caller.responses if response.status >= 500]


async def test_waiting_for_a_lock_is_bounded_by_the_server(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    """PgBouncer takes no parameters when a connection starts: the role has them."""
    with postgres.connect("service") as holder, holder.transaction():
        holder.execute("SELECT FROM users FOR UPDATE")
        response = await caller.send("PATCH", f"/users/{author_id}", json={"display_name": "Late"})

    assert response.status == 503
    assert "holds a lock" in response.json()["detail"]
    assert 1.5 < response.seconds < 4
    assert postgres.query(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'"
    ) == [0]


async def waits(
    service: Service, postgres: PostgresProcess, log: Path
) -> tuple[Response, Response]:
    """Return the ends of a statement of 4.5 seconds and of a wait for a lock, side by side."""
    with serving(service, log) as process:
        async with calling(process.url) as caller:
            assert (await caller.get("/health/ready")).status == 200
            author_id, locked_id = await create_author(caller), await create_author(caller)
            body = {"author_id": author_id, "title": "sleep 4.5", "body": "Body"}
            with postgres.connect("unlimited") as holder, holder.transaction():
                holder.execute("SELECT FROM users WHERE id = %s FOR UPDATE", [locked_id])
                responses = await asyncio.gather(
                    caller.post("/posts", body),
                    caller.patch(f"/users/{locked_id}", {"display_name": "Late"}),
                )
    assert process.complaints() == []
    return responses


async def test_limits_of_the_role_hold_behind_the_pooler(
    service: Service,
    schema: str,
    postgres: PostgresProcess,
    pooler: PgBouncerProcess,
    tmp_path: Path,
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    with postgres.database("unlimited", schema):
        pooled = through(pooler, service, "unlimited")
        statement, lock = await waits(pooled, postgres, before)
        assert statement.status == 201
        assert (lock.status, lock.json()["detail"]) == (
            503,
            "The database took too long to respond",
        )
        assert lock.seconds > DEADLINE - 0.5

        printed = pooled.run("app", "set-limits")
        assert "ALTER ROLE app IN DATABASE unlimited SET statement_timeout = '4000';" in printed
        pooler.reconnect()
        statement, lock = await waits(pooled, postgres, after)
        (written,) = postgres.query("SELECT count(*) FROM posts", database="unlimited")

    assert statement.status == lock.status == 503
    assert "too long to respond; nothing was written" in statement.json()["detail"]
    assert 3.5 < statement.seconds < 4.5
    assert "holds a lock" in lock.json()["detail"]
    assert 1.5 < lock.seconds < 3
    assert written == 1
    assert before.read_text().count("run `app set-limits` once") == 1
    assert "set-limits" not in after.read_text()


def test_doctor_compares_what_responds_with_the_setting(service: Service) -> None:
    printed = service.run("app", "doctor", "--workers", "0")
    assert re.search("ok +pooler +a pooler, as DATABASE_POOLER says", printed), printed
    assert re.search("error +pooler +WORKER_DATABASE_URL is not set", fails(service))

    direct = replace(service, environment=service.environment | {"DATABASE_POOLER": "false"})
    assert re.search("error +pooler +DATABASE_POOLER is off, but a pooler responds", fails(direct))


def fails(service: Service) -> str:
    """Return what `app doctor` prints when it fails."""
    with pytest.raises(AssertionError) as failure:
        service.run("app", "doctor")
    return str(failure.value)


async def test_read_that_writes_is_refused(
    service: Service, author_id: int, postgres: PostgresProcess, tmp_path: Path
) -> None:
    """It has no parameter of the connection to forbid it, so reads are BEGIN READ ONLY."""
    with serving(service.serving("writing:app"), tmp_path / "log") as process:
        async with calling(process.url) as caller:
            responses = [await caller.get(path) for path in ("/write", f"/users/{author_id}")]
        refused = "ReadOnlySessionError: A read session cannot write"
        # A thread writes the log.
        await asyncio.to_thread(
            wait_until, lambda: refused in process.log.read_text(), "the log tells of the write"
        )

    assert [response.status for response in responses] == [500, 200]
    written = "SELECT count(*) FROM users WHERE display_name = 'Written'"
    assert postgres.query(written, database="service") == [0]


async def test_first_request_after_a_restart_succeeds(
    caller: Caller, author_id: int, pooler: PgBouncerProcess, postgres: PostgresProcess
) -> None:
    await asyncio.gather(*(caller.get("/posts") for _ in range(CLIENTS)))

    pooler.restart()
    responses = await asyncio.gather(*(caller.get("/posts") for _ in range(CLIENTS)))
    assert {response.status for response in responses} == {200}

    postgres.restart()
    response = await caller.get(f"/users/{author_id}")
    assert response.status == 200


async def test_pooler_that_hangs_under_load(
    caller: Caller, author_id: int, pooler: PgBouncerProcess
) -> None:
    done = asyncio.Event()
    body = {"author_id": author_id, "title": "Title", "body": "Body"}

    async def load(number: int) -> None:
        while not done.is_set():
            await (caller.get("/posts") if number % 2 else caller.post("/posts", body))

    clients = [asyncio.create_task(load(number)) for number in range(CLIENTS)]
    await asyncio.sleep(1)
    pooler.pause()
    await asyncio.sleep(DEADLINE + 2)
    pooler.resume()
    await asyncio.sleep(1)
    done.set()
    await asyncio.gather(*clients)

    caller.check(200, 201, 503)
    responses = await asyncio.gather(*(caller.get("/posts") for _ in range(CLIENTS)))
    assert {response.status for response in responses} == {200}


async def test_ready_through_the_pooler(caller: Caller) -> None:
    responses = await asyncio.gather(*(caller.get("/health/ready") for _ in range(CLIENTS)))

    assert {response.status for response in responses} == {200}


@pytest.mark.parametrize("by", ["itself", "past"])
def test_many_processes_migrate_at_once(
    project: Path, postgres: PostgresProcess, pooler: PgBouncerProcess, by: str
) -> None:
    name = f"unmigrated_{by}"
    with postgres.database(name) as url:
        variables = {
            "itself": {"DATABASE_URL": url},
            "past": {
                "DATABASE_URL": pooler.url(name),
                "DATABASE_POOLER": "true",
                "DATABASE_DIRECT_URL": url,
            },
        }[by]
        processes = [
            subprocess.Popen(
                [project / ".venv/bin/app", "migrate"],
                cwd=project,
                env=project_environment(variables),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _ in range(5)
        ]
        outputs = [process.communicate(timeout=60)[0] for process in processes]

        assert [process.returncode for process in processes] == [0] * 5, outputs
        assert postgres.query("SELECT count(*) FROM alembic_version", database=name) == [1]
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert postgres.query(held) == [0]
        assert name not in {row["database"] for row in pooler.show("POOLS")}
