"""`app jobs` and `app worker`, on a database of their own."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from pgqueuer.queries import Queries
from sqlalchemy import URL, text

from app.cli.commands import DEVELOPMENT_SETTINGS, CommandError, with_database
from app.core.config import ConfigurationError
from app.core.database import Database
from app.core.database.drivers import driver_for
from app.core.jobs.drivers import SessionDriver
from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.jobs.maintenance import Prune
from tests.cli.test_main import run
from tests.ports import free_port
from tests.postgres import clone


class Unknown(JobPayload):
    job: ClassVar = "unknown_to_this_version"


class Failing(JobPayload):
    job: ClassVar = "failing"

    row_id: int


@pytest.fixture
def migrated_database(
    template_url: URL, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[URL]:
    with clone(template_url, f"{template_url.database}_{worker_id}_jobs") as url:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        yield url


async def queue_two_of_which_one_is_dead(database: Database) -> int:
    async with database.transaction() as session:
        await JobQueue(session).enqueue(Unknown())
        (dead,) = await JobQueue(session).enqueue(Failing(row_id=7))
        await session.execute(
            text("UPDATE pgqueuer SET status = 'failed' WHERE id = :id"), {"id": dead}
        )
        await session.execute(
            text(
                "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback) "
                "VALUES (:id, 'failed', 0, 'failing', CAST(:traceback AS jsonb))"
            ),
            {
                "id": dead,
                "traceback": json.dumps({"exception_type": "KeyError", "exception_message": "x"}),
            },
        )
    return dead


async def count(database: Database) -> list[tuple[str, int]]:
    async with database.read() as session:
        rows = await Queries(SessionDriver(session)).queue_size()
    return sorted((row.status, row.count) for row in rows)


def test_dead_jobs_are_listed_and_queued_again(migrated_database: URL) -> None:
    dead = with_database(migrated_database, queue_two_of_which_one_is_dead)

    listed = run("jobs", "list").stdout

    assert "1 queued   unknown_to_this_version, since " in listed
    assert "1 dead     failing, since " in listed
    assert str(dead) + '  failing {"row_id":7}' in listed
    assert "KeyError: x" in listed
    assert run("jobs", "retry", str(dead)).stdout == f"Queued again: {dead}\n"
    assert with_database(migrated_database, count) == [("queued", 1), ("queued", 1)]


def test_list_escapes_what_would_command_the_terminal(migrated_database: URL) -> None:
    async def queue_hostile(database: Database) -> None:
        dead = await queue_two_of_which_one_is_dead(database)
        async with database.transaction() as session:
            await session.execute(
                text(
                    "UPDATE pgqueuer SET payload = convert_to('\u009b31m', 'UTF8') WHERE id = :id"
                ),
                {"id": dead},
            )
            hostile = json.dumps({"exception_message": "\x1b]0;owned\x07\nforged"})
            await session.execute(
                text("UPDATE pgqueuer_log SET traceback = CAST(:hostile AS jsonb)"),
                {"hostile": hostile},
            )

    with_database(migrated_database, queue_hostile)

    listed = run("jobs", "list").stdout

    assert "\\x1b]0;owned\\x07\\nforged" in listed
    assert "failing \\x9b31m" in listed
    assert not {"\x1b", "\x07", "\u009b"} & set(listed)


def test_worker_behind_a_pooler_ends_with_a_sentence(
    migrated_database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in DEVELOPMENT_SETTINGS.items():
        monkeypatch.setenv(name, value.format(url=""))
    monkeypatch.setattr(driver_for(migrated_database), "backend_pid", lambda _connection: -1)

    with pytest.raises(ConfigurationError, match="WORKER_DATABASE_URL: must be PostgreSQL itself"):
        run("worker", "--port", str(free_port()))


@pytest.mark.parametrize("port", ["0", "99999"])
def test_worker_refuses_what_is_no_port(port: str) -> None:
    refused = run("worker", "--port", port)

    assert refused.exit_code == 2
    assert "Invalid value for '--port'" in refused.stderr


def test_worker_whose_port_is_in_use_takes_no_jobs() -> None:
    """Such as a second one on a machine, which would end while they run."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(CommandError, match=f"127.0.0.1:{port} .*--port"):
            run("worker", "--port", str(port))


def test_dead_job_is_discarded_and_a_wrong_id_is_an_error(migrated_database: URL) -> None:
    dead = with_database(migrated_database, queue_two_of_which_one_is_dead)

    with pytest.raises(CommandError, match="No dead job has the id 99"):
        run("jobs", "discard", str(dead), "99")

    assert with_database(migrated_database, count) == [("queued", 1)]
    assert run("jobs", "retry").stdout == "Queued again: none\n"


# The job waits for the lock of the test.
HAS_WAITING_JOB = text(
    "SELECT EXISTS (SELECT FROM pgqueuer WHERE status = 'picked') AND EXISTS ("
    "SELECT FROM pg_locks WHERE NOT granted AND relation = 'idempotency_keys'::regclass)"
)


def body_of(url: str) -> str | None:
    try:
        with urlopen(url, timeout=5) as response:  # noqa: S310 (127.0.0.1)
            return str(response.read(), "utf-8")
    except URLError:
        return None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_worker_reports_its_health_and_ends_well(migrated_database: URL, tmp_path: Path) -> None:
    """On SIGTERM it finishes the job that is running."""
    port, log = free_port(), tmp_path / "log"
    command = [str(Path(sys.executable).with_name("app")), "worker", "--port", str(port)]
    url = migrated_database.render_as_string(hide_password=False)
    settings = {name: value.format(url="") for name, value in DEVELOPMENT_SETTINGS.items()}
    environment = os.environ | settings | {"DATABASE_URL": url, "WEB_CONCURRENCY": ""}
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, cwd=tmp_path
        )

    async def terminate_while_a_job_runs(database: Database) -> None:
        async with database.transaction() as session:
            await session.execute(text("LOCK TABLE idempotency_keys IN ACCESS EXCLUSIVE MODE"))
            async with database.transaction() as other:
                await JobQueue(other).enqueue(Prune())
            while not await session.scalar(HAS_WAITING_JOB):
                assert worker.poll() is None, log.read_text()
                await asyncio.sleep(0.05)
            worker.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert worker.poll() is None, log.read_text()

    try:
        deadline = time.monotonic() + 30
        while body_of(f"http://127.0.0.1:{port}/health/ready") != '{"status":"ok"}':
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        with_database(migrated_database, terminate_while_a_job_runs)
        assert worker.wait(timeout=20) == 0, log.read_text()
        assert with_database(migrated_database, count) == []
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert lines[0]["message"].endswith("(DATABASE_URL in the environment)")
    finally:
        worker.kill()
