"""Every fault of the database is a 503 in time, and is over when the fault is over."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from http_responses import Response

from faults.caller import DEADLINE, Caller
from faults.conftest import POOL_SIZE
from faults.postgres_process import PostgresProcess, wait_until

pytestmark = pytest.mark.faults

ACTIVE = "state = 'active'"

READINESS_KEPT = 1.1  # seconds, after which the service looks at the database again


def post(author_id: int, title: str = "Title") -> dict[str, Any]:
    return {"author_id": author_id, "title": title, "body": "Body"}


async def create_post(caller: Caller, author_id: int) -> int:
    response = await caller.post("/posts", post(author_id))
    assert response.status == 201, response
    post_id: int = response.json()["id"]
    return post_id


async def fill_pools(caller: Caller, author_id: int) -> None:
    """Have the pools open as many connections as they keep."""
    await both(caller, author_id, 2 * POOL_SIZE)


def count_posts(postgres: PostgresProcess, author_id: int) -> int:
    (number,) = postgres.query(
        "SELECT count(*) FROM posts WHERE author_id = %s", author_id, database="service"
    )
    return int(number)


def statuses(responses: list[Response]) -> set[int]:
    return {response.status for response in responses}


async def both(caller: Caller, author_id: int, times: int) -> list[Response]:
    """Read and write at once, as often as that."""
    reads = [caller.get("/posts?limit=1") for _ in range(times)]
    writes = [caller.post("/posts", post(author_id)) for _ in range(times)]
    return await asyncio.gather(*reads, *writes)


async def test_refused_connections(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    with postgres.stopped():
        responses = await both(caller, author_id, 20)
        await asyncio.sleep(READINESS_KEPT)
        ready, live = await caller.get("/health/ready"), await caller.get("/health/live")

    assert statuses(responses) == {503}
    assert max(response.seconds for response in responses) < 3
    assert (ready.status, live.status) == (503, 200)
    assert statuses(await both(caller, author_id, 20)) == {200, 201}
    caller.check(200, 201, 503)


@pytest.mark.parametrize("mode", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
async def test_first_request_after_a_restart_succeeds(
    caller: Caller, author_id: int, postgres: PostgresProcess, mode: signal.Signals
) -> None:
    await fill_pools(caller, author_id)
    await asyncio.to_thread(postgres.restart, mode)

    assert (await caller.post("/posts", post(author_id))).status == 201
    assert statuses(await both(caller, author_id, 15)) == {200, 201}
    caller.check(200, 201)


async def test_terminated_idle_connections_are_replaced(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    await fill_pools(caller, author_id)
    assert postgres.terminate_sessions() > 0

    assert statuses(await both(caller, author_id, 15)) == {200, 201}
    caller.check(200, 201)


@pytest.mark.parametrize("title", ["sleep 3", "commit sleep 3"])
async def test_connection_terminated_in_a_statement_and_in_commit(
    caller: Caller, author_id: int, postgres: PostgresProcess, title: str
) -> None:
    writing = asyncio.create_task(caller.post("/posts", post(author_id, title)))
    await asyncio.sleep(0.5)
    assert postgres.terminate_sessions(ACTIVE) == 1
    response = await writing

    assert response.status == 503
    assert response.seconds < 2
    assert count_posts(postgres, author_id) == 0
    assert statuses(await both(caller, author_id, 15)) == {200, 201}
    caller.check(200, 201, 503)


async def test_full_pool(caller: Caller, author_id: int, postgres: PostgresProcess) -> None:
    with postgres.connect("service") as connection:
        connection.execute("BEGIN; LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
        stuck = asyncio.gather(*(caller.post("/posts", post(author_id)) for _ in range(60)))
        await asyncio.sleep(1)
        ready, live = await caller.get("/health/ready"), await caller.get("/health/live")
        responses = await stuck
        connection.execute("ROLLBACK")

    assert (ready.status, live.status) == (200, 200)
    assert statuses(responses) == {503}
    details = {response.json()["detail"] for response in responses}
    assert {detail for detail in details if "Too many requests at once" in detail}
    assert {detail for detail in details if "holds a lock for too long" in detail}
    assert count_posts(postgres, author_id) == 0
    again = await both(caller, author_id, 15)
    assert statuses(again) == {200, 201}
    assert max(response.seconds for response in again) < 2
    caller.check(200, 201, 503)


@pytest.mark.parametrize("warm", [True, False], ids=["with a pool", "without connections"])
async def test_server_that_hangs(
    caller: Caller, author_id: int, postgres: PostgresProcess, warm: bool
) -> None:
    await fill_pools(caller, author_id)
    if not warm:
        postgres.terminate_sessions()
        await asyncio.sleep(0.1)
    with postgres.paused():
        responses = asyncio.gather(both(caller, author_id, 20))
        await asyncio.sleep(READINESS_KEPT)
        ready, live = await caller.get("/health/ready"), await caller.get("/health/live")
        (hung,) = await responses
    again = await both(caller, author_id, 15)

    assert statuses(hung) == {503}
    assert (ready.status, live.status) == (503, 200)
    assert ready.seconds < 2
    assert statuses(again) == {200, 201}
    assert max(response.seconds for response in again) < 2
    caller.check(200, 201, 503)


async def test_server_that_hangs_under_load(
    caller: Caller,
    author_id: int,
    postgres: PostgresProcess,
    record_property: Callable[[str, object], None],
) -> None:
    """It hangs at whatever point each request has come to, and then for all that follow."""
    done = asyncio.Event()

    async def load(number: int) -> None:
        while not done.is_set():
            await both(caller, author_id, 1)
            await asyncio.sleep(number / 100)

    clients = [asyncio.create_task(load(number)) for number in range(30)]
    await asyncio.sleep(1)
    with postgres.paused():
        paused = len(caller.responses)
        await asyncio.sleep(2 * DEADLINE)
    hung = caller.responses[paused:]
    await asyncio.sleep(1)
    resumed = len(caller.responses)
    await asyncio.sleep(1)
    done.set()
    await asyncio.gather(*clients)

    record_property(
        "figures",
        f"{len(hung)} responses while it hung, longest {max(response.seconds for response in hung):.2f} s; "
        f"from a second after it {len(caller.responses) - resumed}, all well",
    )
    assert statuses(caller.responses[resumed:]) == {200, 201}
    caller.check(200, 201, 503)


async def test_connection_that_is_broken_at_its_deadline_is_the_only_one(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    await fill_pools(caller, author_id)
    before = set(postgres.sessions())
    slow = await caller.post("/posts", post(author_id, "commit sleep 5.5"))
    await asyncio.to_thread(
        wait_until, lambda: not postgres.sessions(ACTIVE), "the server is done with the COMMIT"
    )
    assert statuses(await both(caller, author_id, 2 * POOL_SIZE)) == {200, 201}

    assert slow.status == 503
    assert len(before - set(postgres.sessions())) == 1
    caller.check(200, 201, 503)


async def test_server_that_hangs_in_the_middle_of_a_statement(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    writing = asyncio.gather(
        caller.post("/posts", post(author_id, "sleep 1")),
        caller.post("/posts", post(author_id, "commit sleep 1")),
    )
    await asyncio.sleep(0.5)
    with postgres.paused():
        responses = await writing

    assert statuses(list(responses)) == {503}
    assert statuses(await both(caller, author_id, 15)) == {200, 201}
    caller.check(200, 201, 503)


async def test_statement_timeout(caller: Caller, author_id: int, postgres: PostgresProcess) -> None:
    response = await caller.post("/posts", post(author_id, "sleep 4.5"))

    assert response.status == 503
    assert "nothing was written" in response.json()["detail"]
    assert count_posts(postgres, author_id) == 0
    caller.check(201, 503)


async def test_commit_that_ends_after_the_deadline(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    """`statement_timeout` does not bound a COMMIT. Nobody can know by then whether it succeeds."""
    body, key = post(author_id, "commit sleep 6"), uuid4().hex
    response = await caller.post("/posts", body, key)
    again = await caller.post("/posts", body, key)

    assert (response.status, again.status) == (503, 409)
    assert "written" not in response.json()["detail"]
    assert "is being processed" in again.json()["detail"]
    await asyncio.to_thread(
        wait_until, lambda: not postgres.sessions(ACTIVE), "the server is done with the COMMIT"
    )
    final = await caller.post("/posts", body, key)
    assert final.status == 201
    assert final.headers["idempotency-replayed"] == "true"
    assert count_posts(postgres, author_id) == 1
    caller.check(201, 409, 503)


async def test_lock_timeout(caller: Caller, author_id: int, postgres: PostgresProcess) -> None:
    post_id = await create_post(caller, author_id)
    with postgres.connect("service") as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT FROM posts WHERE id = %s FOR UPDATE", [post_id])
        response = await caller.patch(f"/posts/{post_id}", {"title": "Changed"})
        connection.execute("ROLLBACK")

    assert response.status == 503
    assert "nothing was written" in response.json()["detail"]
    assert response.seconds < 3
    assert (await caller.get(f"/posts/{post_id}")).json()["title"] == "Title"
    caller.check(200, 201, 503)


async def test_deadlock(caller: Caller, author_id: int) -> None:
    first, second = [await create_post(caller, author_id) for _ in range(2)]
    responses = await asyncio.gather(
        caller.patch(f"/posts/{first}", {"title": f"touch {second}"}),
        caller.patch(f"/posts/{second}", {"title": f"touch {first}"}),
    )

    assert sorted(response.status for response in responses) == [200, 503]
    (loser,) = [response for response in responses if response.status == 503]
    assert "deadlock); nothing was written" in loser.json()["detail"]
    titles = [(await caller.get(f"/posts/{id_}")).json()["title"] for id_ in (first, second)]
    assert titles.count("Title") == 1
    caller.check(200, 201, 503)


async def test_serialization_failure(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    post_id = await create_post(caller, author_id)
    with (
        postgres.role_setting("default_transaction_isolation", "repeatable read"),
        postgres.connect("service") as connection,
    ):
        connection.execute("BEGIN")
        connection.execute("UPDATE posts SET title = 'Theirs' WHERE id = %s", [post_id])
        path = f"/posts/{post_id}"
        writing = asyncio.create_task(caller.patch(path, {"title": "Ours"}))
        await asyncio.sleep(0.5)
        connection.execute("COMMIT")
        response = await writing

    assert response.status == 503
    assert "serialization failure); nothing was written" in response.json()["detail"]
    assert (await caller.get(f"/posts/{post_id}")).json()["title"] == "Theirs"
    caller.check(200, 201, 503)


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "53100", "53200"])
async def test_faults_that_the_server_reports(
    caller: Caller, author_id: int, postgres: PostgresProcess, sqlstate: str
) -> None:
    for title in (f"raise {sqlstate}", f"commit raise {sqlstate}"):
        response = await caller.post("/posts", post(author_id, title), key=uuid4().hex)

        assert response.status == 503
        assert "nothing was written" in response.json()["detail"]
    assert count_posts(postgres, author_id) == 0
    caller.check(201, 503)


async def test_read_only_database(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    with postgres.role_setting("default_transaction_read_only", "on"):
        read = await caller.get("/posts")
        written = await caller.post("/posts", post(author_id))

    assert (read.status, written.status) == (200, 503)
    assert (await caller.post("/posts", post(author_id))).status == 201
    caller.check(200, 201, 503)


async def test_too_many_connections(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    few = {"max_connections": "12", "superuser_reserved_connections": "3"}
    with postgres.started_with(**few):
        for taken, expected in ((9, {503}), (6, {201, 503}), (0, {201})):
            # Again and again: the announcement of a post comes after the response.
            wait_until(lambda: not postgres.terminate_sessions(), "every place is free")
            with ExitStack() as others:
                for _ in range(taken):
                    others.enter_context(postgres.connect("service", user="app"))
                responses = await asyncio.gather(
                    *(caller.post("/posts", post(author_id, "sleep 0.5")) for _ in range(9))
                )
            assert statuses(list(responses)) == expected
    caller.check(201, 503)


async def test_deferred_constraint(
    caller: Caller, author_id: int, postgres: PostgresProcess
) -> None:
    postgres.query(
        "ALTER TABLE posts ALTER CONSTRAINT fk_posts_author_id_users DEFERRABLE INITIALLY DEFERRED",
        database="service",
    )
    postgres.query("DELETE FROM posts", database="service")
    postgres.query(
        "ALTER TABLE posts ADD UNIQUE (author_id, title) DEFERRABLE INITIALLY DEFERRED",
        database="service",
    )
    try:
        no_author = await caller.post("/posts", post(10**9), key=uuid4().hex)
        once = await caller.post("/posts", post(author_id, "Twice"), key=uuid4().hex)
        twice = await caller.post("/posts", post(author_id, "Twice"), key=uuid4().hex)
    finally:
        postgres.query(
            "ALTER TABLE posts ALTER CONSTRAINT fk_posts_author_id_users NOT DEFERRABLE,"
            " DROP CONSTRAINT posts_author_id_title_key",
            database="service",
        )

    assert (no_author.status, once.status) == (404, 201)
    assert twice.status == 500  # a constraint of which the service does not know: a bug, and told
    assert count_posts(postgres, author_id) == 1


async def test_restart_under_load(
    caller: Caller,
    author_id: int,
    postgres: PostgresProcess,
    record_property: Callable[[str, object], None],
) -> None:
    """What clients see; `record_property` has it printed."""
    await fill_pools(caller, author_id)
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            await both(caller, author_id, 1)

    clients = [asyncio.create_task(load()) for _ in range(10)]
    await asyncio.sleep(1)
    await asyncio.to_thread(postgres.restart)
    await asyncio.sleep(1)
    done.set()
    await asyncio.gather(*clients)

    record_property(
        "figures", f"responses by status {caller.by_status()}, longest {caller.longest():.2f} s"
    )
    acknowledged = caller.by_status()[201] - 1  # the author
    assert acknowledged <= count_posts(postgres, author_id)
    caller.check(200, 201, 503)


async def test_writers_of_one_row_lose_no_update(caller: Caller, author_id: int) -> None:
    path = f"/posts/{await create_post(caller, author_id)}"

    async def append(word: str) -> None:
        while True:
            read = await caller.get(path)
            body = {"body": f"{read.json()['body']} {word}"}
            headers = {"If-Match": read.headers["etag"]}
            response = await caller.send("PATCH", path, json=body, headers=headers)
            if response.status == 200:
                return

    words = [f"word{number}" for number in range(20)]
    await asyncio.gather(*map(append, words))

    written = (await caller.get(path)).json()["body"].split()
    assert sorted(written) == sorted(["Body", *words])
    assert 412 in caller.by_status()
    caller.check(200, 201, 412)
