"""Everything beside the ladder: the tail, logins, workers, a pooler, the start, memory, long lists."""

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from baking import project_environment, run_uv
from faults.pgbouncer_process import keeps_statements, pooling

from benchmarks.bench import DATABASE_PASSWORD, DRIVERS, IMPORT_REFUSED, READ_ONE, Bench, get
from benchmarks.servers import APPS, CORES, Result, Server

Figures = dict[str, Any]
K = TypeVar("K")


@dataclass(frozen=True)
class Probe:
    """A request, put to a server again and again."""

    server: Server
    request: str = READ_ONE
    connections: int = 32
    ok: tuple[str, ...] = ("200",)

    def load(self, seconds: float) -> Result:
        return self.server.load(
            self.request, connections=self.connections, seconds=seconds, ok=self.ok
        )


def interleave(probes: dict[K, Probe], rounds: int, seconds: float) -> dict[K, list[Result]]:
    """Measure one after the other, again and again; the first round warms up."""
    results: dict[K, list[Result]] = {name: [] for name in probes}
    for number in range(rounds + 1):
        for name, probe in probes.items():
            result = probe.load(seconds if number else 0.5)
            if number:
                results[name].append(result)
    return results


def middle(results: list[Result]) -> Figures:
    return {
        "CPU µs": round(median(result.cpu_per_request for result in results)),
        "req/s": round(median(result.requests_per_second for result in results)),
        "p50 ms": round(median(result.p50 for result in results), 1),
        "p99 ms": round(median(result.p99 for result in results), 1),
    }


def tail(bench: Bench, rounds: int, seconds: float) -> Figures:
    """W1 at 32 and at 256 connections: the p99 in relation to the p50, and what was shed."""
    figures: Figures = {}
    with ExitStack() as stack:
        servers = {driver: stack.enter_context(bench.baked(driver)) for driver in DRIVERS}
        probes = {
            f"{driver}, {connections} connections": Probe(
                server, connections=connections, ok=("200", "503")
            )
            for driver, server in servers.items()
            for connections in (32, 256)
        }
        for name, results in interleave(probes, rounds, seconds).items():
            found = middle(results)
            found["p99 / p50"] = round(found["p99 ms"] / found["p50 ms"], 1)
            found["shed"] = sum(result.statuses.get("503", 0) for result in results)
            figures[name] = found
    return figures


def logins(bench: Bench, rounds: int, seconds: float) -> Figures:
    """W1 by 32 connections, alone and while 32 others do nothing but sign in."""
    results: dict[str, list[Result]] = {"quiet": [], "beside 32 logins": []}
    with bench.baked("asyncpg", use_auth=True) as server, ThreadPoolExecutor() as pool:
        quiet, signing_in = Probe(server), Probe(server, bench.sign_in)
        quiet.load(0.5)
        for _ in range(rounds):
            results["quiet"].append(quiet.load(seconds))
            logins = pool.submit(signing_in.load, seconds + 1)
            time.sleep(0.5)
            results["beside 32 logins"].append(quiet.load(seconds))
            logins.result()
    figures = {name: middle(found) for name, found in results.items()}
    ratio = figures["beside 32 logins"]["p99 ms"] / figures["quiet"]["p99 ms"]
    return figures | {"ratio of the p99": round(ratio, 2)}


def workers(bench: Bench, rounds: int, seconds: float) -> Figures:
    """One worker and two, on all cores, of which load and PostgreSQL need a part.

    For an import that is refused they need next to nothing: with two cores, that request alone
    tells what a second worker adds.
    """
    figures: Figures = {"cores": len(CORES)}
    with ExitStack() as stack:
        probes: dict[tuple[str, int], Probe] = {}
        for driver in DRIVERS:
            for number in (1, 2):
                options = ("--no-access-log", "--workers", str(number))
                server = stack.enter_context(bench.baked(driver, options=options, cores=CORES))
                probes[f"{driver}, W1", number] = Probe(server)
                probes[f"{driver}, import refused", number] = Probe(
                    server, IMPORT_REFUSED, ok=("422",)
                )
        results = interleave(probes, rounds, seconds)
    for name in dict.fromkeys(name for name, _ in probes):
        one, two = middle(results[name, 1]), middle(results[name, 2])
        figures[f"{name}, 1 worker"] = one
        figures[f"{name}, 2 workers"] = two | {"ratio": round(two["req/s"] / one["req/s"], 2)}
    return figures


def pooler(bench: Bench, rounds: int, seconds: float) -> Figures:
    """W1 with PgBouncer in the way (its servers are as many as the pool's connections)."""
    keeps = keeps_statements()
    with (
        pooling(bench.postgres, 15, password=DATABASE_PASSWORD, statements=100) as bouncer,
        ExitStack() as stack,
    ):
        probes = {}
        pooled = {"DATABASE_URL": bouncer.url("bench"), "DATABASE_POOLER": "true"}
        prepares = pooled | {"DATABASE_POOLER_PREPARES": "true"}
        for driver in DRIVERS:
            ways = {"direct": {}, "PgBouncer": pooled}
            if keeps:
                ways["PgBouncer that keeps statements"] = prepares
            for name, variables in ways.items():
                server = stack.enter_context(bench.baked(driver, variables=variables))
                probes[f"{driver}, {name}"] = Probe(server)
        results = interleave(probes, rounds, seconds)
    return {name: middle(found) for name, found in results.items()}


def start(bench: Bench, rounds: int, seconds: float) -> Figures:
    """Seconds from the start of the process to the first 200, and memory after some load."""
    figures: Figures = {}
    for driver in DRIVERS:
        for use_auth in (True, False):
            times, sizes = [], []
            for _ in range(rounds):
                began = time.perf_counter()
                with bench.baked(driver, use_auth=use_auth) as server:
                    times.append(time.perf_counter() - began)
                    server.load(READ_ONE, connections=32, seconds=seconds)
                    sizes.append(server.rss())
            figures[f"{driver}, auth {use_auth}"] = {
                "start s": round(median(times), 2),
                "RSS MiB": round(median(sizes)),
            }
    return figures


def thousand(bench: Bench, rounds: int, seconds: float) -> Figures:
    """Read a list of 1000 rows, by the template's layers and by SQLAlchemy Core."""
    figures: Figures = {}
    for driver in DRIVERS:
        with (
            bench.baked(driver, app="thousand:app") as baked,
            bench.ladder("thousand_core", driver) as core,
        ):
            probes = {
                "template": Probe(baked, get("/thousand?limit=1000"), connections=8),
                "Core": Probe(core, get("/thousand?limit=1000"), connections=8),
            }
            results = interleave(probes, rounds, seconds)
        found = {name: middle(measured) for name, measured in results.items()}
        ratio = found["template"]["req/s"] / found["Core"]["req/s"]
        figures[driver] = found | {"ratio": round(ratio, 2)}
    return figures


def web_servers(bench: Bench, rounds: int, seconds: float) -> Figures:
    """W1 by each server that could be the image's."""
    project = bench.projects["asyncpg", False]
    folder = str(project / ".venv-granian")
    run_uv(project, "venv", "--quiet", folder)
    run_uv(project, "pip", "install", "--quiet", "--python", folder, ".", "granian")
    plain = ("--no-access-log", "--loop", "asyncio", "--http", "h11")
    granian = (f"{folder}/bin/granian", "--interface", "asgi")
    servers = {
        "uvicorn, uvloop and httptools": bench.baked("asyncpg"),
        "uvicorn, asyncio and h11": bench.baked("asyncpg", options=plain),
        "granian": bench.baked("asyncpg", command=granian, options=("--no-access-log",)),
    }
    with ExitStack() as stack:
        probes = {name: Probe(stack.enter_context(server)) for name, server in servers.items()}
        results = interleave(probes, rounds, seconds)
    return {name: middle(found) for name, found in results.items()}


def request_line(bench: Bench, _rounds: int, _seconds: float) -> Figures:
    """CPU time of a request's line and of Uvicorn's access line, in turns in one process.

    The access line that the service had was escaped, because its records were.
    """
    completed = subprocess.run(
        [bench.projects["asyncpg", False] / ".venv/bin/python", "-m", "logged_lines"],
        env=project_environment({"PYTHONPATH": str(APPS)}),
        cwd=bench.projects["asyncpg", False],
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    figures: Figures = json.loads(completed.stderr.splitlines()[-1])
    return figures


EXPERIMENTS: dict[str, Callable[[Bench, int, float], Figures]] = {
    "tail": tail,
    "logins": logins,
    "workers": workers,
    "pooler": pooler,
    "start": start,
    "thousand": thousand,
    "web_servers": web_servers,
    "request_line": request_line,
}
