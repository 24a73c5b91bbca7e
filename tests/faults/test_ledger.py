"""No acknowledged write is lost, none is done twice, whatever fails while it is under way."""

import asyncio
import signal
import time
from collections.abc import Callable
from itertools import cycle, islice

import pytest

from faults.caller import BROKEN, Caller
from faults.conftest import in_every_variant
from faults.ledger import Ledger, writers
from faults.postgres_process import PostgresProcess
from faults.service_process import ServiceProcess

pytestmark = in_every_variant

WRITERS = 16

Fault = Callable[[PostgresProcess, ServiceProcess, float], None]


def terminate_backends(postgres: PostgresProcess, _process: ServiceProcess, _: float) -> None:
    postgres.terminate_sessions()


def restart_at_once(postgres: PostgresProcess, _process: ServiceProcess, _: float) -> None:
    postgres.restart(signal.SIGQUIT)


def kill_postmaster(postgres: PostgresProcess, _process: ServiceProcess, seconds: float) -> None:
    postgres.kill()
    time.sleep(seconds / 4)  # down for a while
    postgres.start()


def pause_postgres(postgres: PostgresProcess, _process: ServiceProcess, seconds: float) -> None:
    postgres.pause()
    time.sleep(seconds)
    postgres.resume()


def kill_service(_postgres: PostgresProcess, process: ServiceProcess, _: float) -> None:
    process.kill()
    process.start()


FAULTS: list[Fault] = [
    pause_postgres, kill_service, kill_postmaster, terminate_backends, restart_at_once,
]  # fmt: skip
# Shorter than the deadline of the service, and longer.
LENGTHS = (2.0, 4.0, 7.0)


@pytest.mark.parametrize(
    ("writes", "faults"),
    [
        pytest.param(300, 3, id="small"),
        pytest.param(20_000, 30, id="full", marks=pytest.mark.full),
    ],
)
async def test_ledger_and_tables_agree(
    caller: Caller,
    author_id: int,
    process: ServiceProcess,
    postgres: PostgresProcess,
    writes: int,
    faults: int,
    record_property: Callable[[str, object], None],
) -> None:
    ledger = Ledger(caller, author_id)
    between = writes // (faults + 1) + 1
    recoveries = []
    async with writers(ledger, WRITERS):
        await ledger.grow(between)
        for number, fault in enumerate(islice(cycle(FAULTS), faults)):
            seconds = LENGTHS[number // len(FAULTS) % len(LENGTHS)]
            await asyncio.to_thread(fault, postgres, process, seconds)
            recoveries.append(await ledger.grow(between))

    verdict = ledger.compare(postgres, "service")
    record_property(
        "figures",
        f"{verdict}, faults = {faults}, responses by status {caller.by_status()} "
        f"({BROKEN}: connection broken), longest {caller.longest():.2f} s, "
        f"longest from a fault's end to the next write {max(recoveries):.2f} s",
    )
    assert verdict.is_clean, verdict
    assert verdict.writes >= writes
    caller.check(200, 201, 409, 503, BROKEN)
