"""Every committed job is done, whatever fails while it is asked for or done."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from uuid import uuid4

import pytest

from faults.caller import BROKEN, Caller, calling
from faults.conftest import in_every_variant
from faults.ledger import require_reason_to_retry
from faults.pgbouncer_process import pooling
from faults.postgres_process import PostgresProcess, free_port, wait_until
from faults.proxy import Proxy, proxying
from faults.service_process import Service, ServiceProcess, serving

pytestmark = in_every_variant

WRITERS, WORKERS = 8, 2
MOST_JOBS = 10  # that one worker runs at the same time
LOST = 4  # seconds after which the jobs of a worker are taken over

# What a connection to PostgreSQL begins with. By default PgBouncer refuses it.
LIMITS = "options,statement_timeout,lock_timeout,idle_in_transaction_session_timeout"

TABLES = (
    "CREATE TABLE asked (value text)",
    "CREATE TABLE done (key text, value text, pid int, attempt int, at timestamptz DEFAULT now())",
    "CREATE TABLE done_once (key text PRIMARY KEY, value text)",
    "GRANT ALL ON asked, done, done_once TO PUBLIC",
)


@dataclass
class Processes:
    """The service and the workers of a test. The first worker is behind a proxy."""

    postgres: PostgresProcess
    service: ServiceProcess
    workers: list[ServiceProcess]
    proxy_port: int
    proxy: Proxy | None = None
    loop: asyncio.AbstractEventLoop | None = None
    faults: list[tuple[float, float]] = field(default_factory=list)


def make_tables(postgres: PostgresProcess) -> None:
    """Create the tables again. The tests of a module share a database."""
    for statement in ("DROP TABLE IF EXISTS asked, done, done_once", *TABLES):
        postgres.query(statement, database="service")


@pytest.fixture
def processes(service: Service, postgres: PostgresProcess, tmp_path: Path) -> Iterator[Processes]:
    make_tables(postgres)
    quick = replace(service, environment=service.environment | {"WORKER_LOST_SECONDS": str(LOST)})
    port = free_port()
    cut_off = f"postgresql://app@127.0.0.1:{port}/service"
    with ExitStack() as stack:
        started = []
        for number, app in enumerate(["effects:app", *["effects:worker"] * WORKERS]):
            served = quick.serving(app)
            if number == 1:
                served = replace(served, environment=served.environment | {"DATABASE_URL": cut_off})
            started.append(stack.enter_context(serving(served, tmp_path / f"log{number}")))
        yield Processes(postgres, started[0], started[1:], port)
        for process in started:
            assert process.complaints() == []


def kill_workers(processes: Processes, _: float) -> None:
    """In mid-job, all of them."""
    running = "SELECT count(DISTINCT queue_manager_id) FROM pgqueuer WHERE status = 'picked'"
    wait_until(
        lambda: processes.postgres.query(running, database="service") == [WORKERS],
        "every worker runs jobs",
        patience=60,
    )
    for worker in processes.workers:
        worker.kill()
        worker.start()


def terminate_worker(processes: Processes, _: float) -> None:
    assert processes.workers[0].terminate() in {0, -signal.SIGTERM}
    processes.workers[0].start()


def freeze_worker(processes: Processes, seconds: float) -> None:
    """Until others have taken over its jobs."""
    processes.workers[0].signal(signal.SIGSTOP)
    time.sleep(seconds)
    processes.workers[0].signal(signal.SIGCONT)


def cut_network(processes: Processes, seconds: float) -> None:
    assert processes.loop
    assert processes.proxy
    processes.loop.call_soon_threadsafe(processes.proxy.cut)
    time.sleep(seconds)
    processes.loop.call_soon_threadsafe(processes.proxy.mend)


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
    kill_workers, pause_postgres, cut_network, kill_postmaster, freeze_worker, terminate_backends,
    kill_service, restart_postgres, terminate_worker,
]  # fmt: skip
LENGTHS = (2.0, 4.0, 7.0)

# No fault of these comes between an effect and its acknowledgement.
HARMLESS = {kill_service, terminate_worker}


@asynccontextmanager
async def asking(caller: Caller, asked: list[str]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Ask for effects until the block ends."""
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            value = uuid4().hex
            path = f"/effects/{value}"
            while (response := await caller.post(path, {}, key=value)).status != 201:
                if b"ALREADY_PROCESSED" in response.content:  # by a request whose response was lost
                    break
                require_reason_to_retry(response)
                await asyncio.sleep(0.1)
            asked.append(value)

    tasks = [asyncio.create_task(ask()) for _ in range(WRITERS)]
    try:
        yield tasks
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def wait_until_all_is_done(postgres: PostgresProcess) -> None:
    wait_until(
        lambda: postgres.query("SELECT count(*) FROM pgqueuer", database="service") == [0],
        "every job is done",
        patience=120,
        found=lambda: postgres.query(
            "SELECT status::text, entrypoint, attempts, execute_after FROM pgqueuer LIMIT 5",
            database="service",
        ),
    )


@pytest.mark.parametrize(
    ("jobs", "faults"),
    [
        pytest.param(300, 9, id="small", marks=pytest.mark.faults),
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
    async with proxying(postgres, processes.proxy_port) as proxy:
        processes.proxy, processes.loop = proxy, asyncio.get_running_loop()
        async with calling(processes.service.url) as caller, asking(caller, asked) as tasks:
            for number, fault in enumerate(islice(cycle(FAULTS), faults + 1)):
                goal = len(asked) + between
                while len(asked) < goal:
                    assert not any(task.done() for task in tasks)
                    await asyncio.sleep(0.02)
                if number < faults:
                    began = time.time()
                    length = LENGTHS[number % len(LENGTHS)]
                    await asyncio.to_thread(fault, processes, length)
                    if fault not in HARMLESS:
                        processes.faults.append((began, time.time()))
        await asyncio.to_thread(wait_until_all_is_done, postgres)

    committed = set(postgres.query("SELECT value FROM asked", database="service"))
    once = Counter(postgres.query("SELECT value FROM done_once", database="service"))
    runs: dict[str, list[tuple[int, float]]] = {}
    for value, attempt, at in postgres.query(
        "SELECT value, attempt, extract(epoch FROM at)::float FROM done ORDER BY at",
        database="service",
    ):
        runs.setdefault(value, []).append((attempt, at))
    repeated = {value: found for value, found in runs.items() if len(found) > 1}
    taken_over = [value for value, found in repeated.items() if found[0][0] == found[1][0]]
    record_property(
        "figures",
        f"{len(committed)} jobs, done {sum(map(len, runs.values()))} times; more than once: "
        f"{len(taken_over)} whose worker was lost before it could acknowledge them, "
        f"{len(repeated) - len(taken_over)} whose commit was not confirmed; "
        f"faults = {faults}, responses by status {caller.by_status()} ({BROKEN}: connection broken)",
    )
    assert set(asked) <= committed
    assert set(runs) == committed
    assert once == Counter(committed)
    assert len(repeated) <= WORKERS * MOST_JOBS * len(processes.faults)
    for found in repeated.values():  # only where a fault has come between
        (_, first), *_, (_, last) = found
        assert any(began <= last and first - 1 <= ended for began, ended in processes.faults), found


async def test_jobs_of_a_killed_worker_are_taken_over(
    processes: Processes, record_property: Callable[[str, object], None]
) -> None:
    """The one that is killed in mid-job has made its effect, and not acknowledged it."""
    postgres, worker = processes.postgres, processes.workers[1]
    async with calling(processes.service.url) as caller:
        assert (await caller.post("/slow-effects/once", {})).status == 201
    await asyncio.to_thread(
        wait_until,
        lambda: postgres.query("SELECT pid FROM done", database="service"),
        "the job has begun",
    )
    (pid,) = postgres.query("SELECT pid FROM done", database="service")
    assert pid == worker.pid  # the other one has no network in this test
    worker.kill()
    killed = time.monotonic()
    worker.start()
    await asyncio.to_thread(wait_until_all_is_done, postgres)

    seconds = time.monotonic() - killed
    record_property("figures", f"taken over and done after {seconds:.1f} s (lost after {LOST} s)")
    assert len(postgres.query("SELECT pid FROM done", database="service")) == 2
    assert postgres.query("SELECT value FROM done_once", database="service") == ["once"]


@pytest.mark.faults
@pytest.mark.parametrize("options", ["", f"ignore_startup_parameters = {LIMITS}"])
async def test_jobs_are_queued_through_pgbouncer_and_run_past_it(
    service: Service, postgres: PostgresProcess, tmp_path: Path, options: str
) -> None:
    make_tables(postgres)
    with pooling(postgres, options=options) as pooler, ExitStack() as stack:

        def start(app: str, log: str, **variables: str) -> ServiceProcess:
            environment = service.environment | variables
            behind = replace(service, environment=environment | {"DATABASE_POOLER": "true"})
            return stack.enter_context(serving(behind.serving(app), tmp_path / log))

        url, direct = pooler.url("service"), service.environment["DATABASE_URL"]
        serves = start("effects:app", "service", DATABASE_URL=url, WORKER_DATABASE_URL=direct)
        async with calling(serves.url) as caller:
            for number in range(20):
                assert (await caller.post(f"/effects/{number}", {})).status == 201

        refused = start("effects:worker", "refused", DATABASE_URL=url, WORKER_DATABASE_URL=url)
        await asyncio.to_thread(
            wait_until,
            lambda: "WORKER_DATABASE_URL: must be PostgreSQL itself" in refused.log.read_text(),
            "the worker says what is wrong",
        )
        assert postgres.query("SELECT count(*) FROM pgqueuer", database="service") == [20]

        start("effects:worker", "worker", DATABASE_URL=url, WORKER_DATABASE_URL=direct)
        await asyncio.to_thread(wait_until_all_is_done, postgres)
    assert postgres.query("SELECT count(*) FROM done", database="service") == [20]
