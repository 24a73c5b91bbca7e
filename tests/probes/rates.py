"""Requests per second of the services, all of them in the same rounds."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.bench import get
from benchmarks.servers import SERVER_CORES, Result, Server

from probes.asking import Request, calling
from probes.finding import NOT_THERE, Finding
from probes.service import Service, Target, new_name, succeeded

CONNECTIONS = 32
ROW, ME = "one row by its key", "who am I"


@dataclass(frozen=True)
class Rate:
    """What one round of load has shown of one service."""

    workload: str
    name: str
    result: Result


def measure(targets: Sequence[Target], rounds: int, seconds: float) -> dict[str, list[Finding]]:
    """Return for each workload what is found of each service, the first of which is the measure.

    All run at the same time and share the first core, of which those that are not asked take nothing.
    A round is one turn of each, in each second round backwards. A first one warms up.
    """
    with ExitStack() as stack:
        for one in targets:
            stack.enter_context(one.started(SERVER_CORES))
        requests = [asyncio.run(workloads(one)) for one in targets]
        rates = list(load(targets, requests, rounds, seconds))
    return {
        workload: [compared(rates, workload, targets[0], one) for one in targets]
        for workload in (ROW, ME)
    }


async def workloads(target: Target) -> dict[str, str]:
    """Return the raw requests of a service; create what they read."""
    async with calling(target.process.url) as caller:
        service = await target.service(caller)
        requests = {ME: raw(service.peer.me(service.account))}
        if service.peer.read:
            created = succeeded(await caller.ask(service.creating(new_name())))
            row = str(created.json()["id"])
            requests[ROW] = raw(reading(service, row))
        return requests


def reading(service: Service, row: str) -> Request:
    assert service.peer.read
    return service.peer.read(service.account, row)


def raw(request: Request) -> str:
    return get(
        request.path, "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    )


def load(
    targets: Sequence[Target], requests: Sequence[dict[str, str]], rounds: int, seconds: float
) -> Iterator[Rate]:
    order = list(zip(targets, requests, strict=True))
    for number in range(rounds + 1):
        for workload in (ROW, ME):
            for target, asked in order if number % 2 else reversed(order):
                if workload not in asked:
                    continue
                server = Server(target.process.port, target.process.process)
                result = server.load(asked[workload], connections=CONNECTIONS, seconds=seconds)
                if number:
                    yield Rate(workload, target.peer.name, result)


def compared(rates: Sequence[Rate], workload: str, first: Target, target: Target) -> Finding:
    """Return the medians of a service, and its rate in relation to the first in the same rounds."""
    own = results(rates, workload, target)
    if not own:
        return NOT_THERE
    measures = results(rates, workload, first)
    ratio = median(
        one.requests_per_second / measure.requests_per_second
        for one, measure in zip(own, measures, strict=True)
    )
    speed = median(one.requests_per_second for one in own)
    cpu = median(one.cpu_per_request for one in own)
    return Finding(None, f"{ratio:.2f} ({speed:.0f}/s, {cpu:.0f} µs of CPU)")


def results(rates: Sequence[Rate], workload: str, target: Target) -> list[Result]:
    return [
        rate.result for rate in rates if rate.workload == workload and rate.name == target.peer.name
    ]
