"""Probes of a service that has more to do than it can, or is told to stop while it works."""

import asyncio
import time
from collections.abc import Sequence

from http_responses import Response

from probes.asking import Caller, calling, tally
from probes.finding import Finding
from probes.service import Service

READS = 200
LOCK_SECONDS = 34.0  # longer than the half minute for which SQLAlchemy's pools let requests wait
PROMPT = 1.0  # seconds for a request that needs no database
WAITING = 8
HELD = 0.9  # seconds for which the reads wait after SIGTERM
STOPPED = 10.0  # seconds in which a service refuses connections after SIGTERM
CLIENTS = 8


async def slow_reads(service: Service, caller: Caller) -> Finding:
    """Keep 200 reads waiting for the database: a request without it takes a second at most.

    And nobody gets a 500. What has to wait for a connection should end with a 503 after a bound, and
    the health check that decides over a restart should not wait in the same line.
    """
    await caller.ask(service.page)
    with service.database.locked():
        reads = [asyncio.create_task(caller.ask(service.page)) for _ in range(READS)]
        await asyncio.sleep(1)
        async with calling(service.url, clients=1) as other:
            trivial = [await other.ask(service.peer.trivial, 5) for _ in range(10)]
        await asyncio.wait(reads, timeout=LOCK_SECONDS)
    return bounded(trivial, await asyncio.gather(*reads))


def bounded(trivial: Sequence[Response], reads: Sequence[Response]) -> Finding:
    slowest = max(response.seconds for response in trivial)
    prompt = slowest <= PROMPT and all(response.status for response in trivial)
    longest = max(response.seconds for response in reads)
    crashed = [response for response in reads if response.status in {0, 500}]
    seen = f"{slowest * 1000:.0f} ms; reads: {tally(reads)}, the last after {longest:.0f} s"
    return Finding(prompt and not crashed, seen)


async def sigterm(service: Service, caller: Caller) -> Finding:
    """Send SIGTERM while 8 reads wait for the database and 8 clients ask: all get a response.

    Each deployment does this. That new connections are refused is how a client learns to go elsewhere; an
    response that never comes, or half of one, is what it cannot handle.
    """
    told = asyncio.Event()
    clients = [asyncio.create_task(until_refused(service, told)) for _ in range(CLIENTS)]
    await caller.ask(service.page)
    with service.database.locked():
        reads = [asyncio.create_task(caller.ask(service.page)) for _ in range(WAITING)]
        await all_wait(service)
        service.process.terminate()
        told.set()
        await asyncio.sleep(HELD)
    waiting = await asyncio.gather(*reads)
    asked = [response for responses in await asyncio.gather(*clients) for response in responses]
    seconds = await asyncio.to_thread(service.process.stop)
    return all_served(waiting, asked, seconds)


async def all_wait(service: Service) -> None:
    """Wait until the database has all reads, so that none is still to be accepted when SIGTERM comes."""
    end = time.monotonic() + STOPPED
    while service.database.waiting() < WAITING and time.monotonic() < end:
        await asyncio.sleep(0.05)


async def until_refused(service: Service, told: asyncio.Event) -> list[Response]:
    """Ask what needs no database, one request after the other, until no connection is to be had."""
    responses: list[Response] = []
    end = float("inf")
    async with calling(service.url, clients=1) as caller:
        while time.monotonic() < end:
            response = await caller.ask(service.peer.trivial, STOPPED)
            if response.lack == "refused":
                break
            responses.append(response)
            if told.is_set() and end == float("inf"):
                end = time.monotonic() + STOPPED
    return responses


def all_served(waiting: Sequence[Response], asked: Sequence[Response], seconds: float) -> Finding:
    cut = [response for response in asked if not response.status]
    held = all(response.status for response in waiting) and not cut
    return Finding(
        held,
        f"waiting: {tally(waiting)}; {len(cut)} of {len(asked)} cut; ended after {seconds:.1f} s",
    )
