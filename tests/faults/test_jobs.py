"""Every committed job is done, whatever fails while it is asked for or done."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from uuid import uuid4

import pytest

from faults.caller import BROKEN, Caller, calling
from faults.conftest import in_every_variant
from faults.ledger import require_reason_to_retry
from faults.postgres_process import PostgresProcess, wait_until
from faults.service_process import Service, ServiceProcess, serving

pytestmark = in_every_variant

WRITERS, WORKERS = 8, 2
MOST_JOBS = 20  # that one worker runs at the same time

TABLES = (
    "CREATE TABLE asked (value text)",
    "CREATE TABLE done (key text, value text, pid int)",
    "CREATE TABLE done_once (key text PRIMARY KEY, value text)",
    "GRANT ALL ON asked, done, done_once TO PUBLIC",
)


@dataclass
class Processes:
    """The service and the workers of a test."""

    postgres: PostgresProcess
    service: ServiceProcess
    workers: list[ServiceProcess]


@pytest.fixture
def processes(service: Service, postgres: PostgresProcess, tmp_path: Path) -> Iterator[Processes]:
    for table in TABLES:
        postgres.query(table, database="service")
    quick = replace(service, environment=service.environment | {"WORKER_LOST_SECONDS": "4"})
    with ExitStack() as stack:
        started = [
            stack.enter_context(serving(quick.serving(app), tmp_path / f"log{number}"))
            for number, app in enumerate(["effects:app", *["effects:worker"] * WORKERS])
        ]
        yield Processes(postgres, started[0], started[1:])
        for process in started:
            assert process.complaints() == []


def kill_worker(processes: Processes, _: float) -> None:
    for worker in processes.workers:
        worker.kill()
        worker.start()


def terminate_worker(processes: Processes, _: float) -> None:
    processes.workers[0].terminate()
    processes.workers[0].start()


def freeze_worker(processes: Processes, seconds: float) -> None:
    """Until others have taken over its jobs."""
    processes.workers[0].signal(signal.SIGSTOP)
    time.sleep(seconds)
    processes.workers[0].signal(signal.SIGCONT)


def kill_service(processes: Processes, _: float) -> None:
    processes.service.kill()
    processes.service.start()


def terminate_backends(processes: Processes, _: float) -> None:
    processes.postgres.terminate_sessions()


def restart_postgres(processes: Processes, _: float) -> None:
    processes.postgres.restart(signal.SIGQUIT)


def kill_postmaster(processes: Processes, seconds: float) -> None:
    processes.postgres.kill()
    time.sleep(seconds / 4)
    processes.postgres.start()


def pause_postgres(processes: Processes, seconds: float) -> None:
    processes.postgres.pause()
    time.sleep(seconds)
    processes.postgres.resume()


FAULTS: list[Callable[[Processes, float], None]] = [
    kill_worker, pause_postgres, kill_service, kill_postmaster, freeze_worker, terminate_backends,
    restart_postgres, terminate_worker,
]  # fmt: skip
LENGTHS = (2.0, 4.0, 7.0)


@asynccontextmanager
async def asking(caller: Caller, asked: list[str]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Ask for effects until the block ends."""
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            value = uuid4().hex
            path = f"/effects/{value}"
            while (answer := await caller.post(path, {}, key=value)).status != 201:
                require_reason_to_retry(answer)
                await asyncio.sleep(0.1)
            asked.append(value)

    tasks = [asyncio.create_task(ask()) for _ in range(WRITERS)]
    try:
        yield tasks
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("jobs", "faults"),
    [
        pytest.param(200, 4, id="small"),
        pytest.param(10_000, 30, id="full", marks=pytest.mark.full),
    ],
)
async def test_every_committed_job_is_done(
    processes: Processes,
    jobs: int,
    faults: int,
    record_property: Callable[[str, object], None],
) -> None:
    postgres = processes.postgres
    asked: list[str] = []
    between = jobs // (faults + 1) + 1
    async with calling(processes.service.url) as caller, asking(caller, asked) as tasks:
        for number, fault in enumerate(islice(cycle(FAULTS), faults + 1)):
            goal = len(asked) + between
            while len(asked) < goal:
                assert not any(task.done() for task in tasks)
                await asyncio.sleep(0.02)
            if number < faults:
                await asyncio.to_thread(fault, processes, LENGTHS[number % len(LENGTHS)])

    await asyncio.to_thread(
        wait_until,
        lambda: postgres.query("SELECT count(*) FROM pgqueuer", database="service") == [0],
        "every job is done",
        found=lambda: postgres.query(
            "SELECT status::text, entrypoint, attempts, execute_after FROM pgqueuer LIMIT 5",
            database="service",
        ),
    )

    committed = set(postgres.query("SELECT value FROM asked", database="service"))
    done = Counter(postgres.query("SELECT value FROM done", database="service"))
    once = Counter(postgres.query("SELECT value FROM done_once", database="service"))
    twice = {value: number for value, number in done.items() if number > 1}
    record_property(
        "figures",
        f"{len(committed)} jobs, done {done.total()} times, {len(twice)} of them more than once, "
        f"faults = {faults}, answers by status {caller.by_status()} ({BROKEN}: connection broken)",
    )
    assert set(asked) <= committed
    assert set(done) == committed
    assert once == Counter(committed)
    assert len(twice) <= WORKERS * MOST_JOBS * faults, twice
