"""Background jobs: what a request pays for one, and how many a worker runs."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

from baking import project_environment
from faults.postgres_process import wait_until

from benchmarks.bench import DRIVERS, SETTINGS, Bench, post
from benchmarks.experiments import Figures, Probe, cpu, interleave, middle
from benchmarks.servers import APPS, CORES

NUMBER = 2000
CREATE_POST = post("/posts", '{"author_id":1,"title":"{n}","body":"Body"}')


def job_cost(bench: Bench, rounds: int, seconds: float) -> Figures:
    """Create posts with the job that announces each of them, and without, in short turns."""
    figures: Figures = {}
    for driver in DRIVERS:
        with ExitStack() as stack:
            apps = {"without its job": "no_jobs:app", "with its job": "app.asgi:app"}
            probes = {
                name: Probe(
                    stack.enter_context(bench.baked(driver, app=app)), CREATE_POST, ok=("201",)
                )
                for name, app in apps.items()
            }
            results = interleave(probes, rounds * 4, seconds / 4)
        for name, found in results.items():
            ratio = cpu(found) / cpu(results["without its job"])
            figures[f"{driver}, {name}"] = middle(found) | {"CPU to without": round(ratio, 2)}
        bench.postgres.query("DELETE FROM posts WHERE body = 'Body'", database="bench")
        bench.postgres.query("TRUNCATE pgqueuer, pgqueuer_log", database="bench")
    return figures


def job_throughput(bench: Bench, rounds: int, _seconds: float) -> Figures:
    """Jobs a second: `app worker`, PGQueuer bare, and two workers, in turns on all cores."""
    figures: Figures = {}
    for driver in DRIVERS:
        ours = [".venv/bin/uvicorn", "idle_jobs:worker", "--no-access-log", "--port", "0"]
        bare = [".venv/bin/python", APPS / "bare_pgqueuer.py", driver]
        ways: dict[str, tuple[list[list[Any]], str]] = {
            "PGQueuer bare": ([bare], "nothing"),
            "app worker": ([ours], "nothing"),
            "2 x app worker": ([ours, ours], "nothing"),
            "app worker, jobs wait 20 ms": ([ours], "waiting"),
            "2 x app worker, jobs wait 20 ms": ([ours, ours], "waiting"),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (commands, kind) in ways.items():
                found[name].append(jobs_per_second(bench, driver, commands, kind))
        rates = {name: median(values) for name, values in found.items()}
        figures |= {f"{driver}, {name}, jobs/s": round(rate) for name, rate in rates.items()}
        one, waiting = rates["app worker"], rates["app worker, jobs wait 20 ms"]
        figures |= {
            f"{driver}, app worker / bare": round(one / rates["PGQueuer bare"], 2),
            f"{driver}, 2 workers / 1": round(rates["2 x app worker"] / one, 2),
            f"{driver}, 2 workers / 1, jobs wait": round(
                rates["2 x app worker, jobs wait 20 ms"] / waiting, 2
            ),
        }
    return figures | {"cores": len(CORES)}


def jobs_per_second(bench: Bench, driver: str, commands: list[list[Any]], kind: str) -> float:
    """Return the rate from when the first tenth of the jobs is done: all workers run then."""
    bench.postgres.query(
        "INSERT INTO pgqueuer (priority, entrypoint, payload, status) "
        "SELECT 0, %s, '{}', 'queued' FROM generate_series(1, %s)",
        kind,
        NUMBER,
        database="bench",
    )
    bench.postgres.query("VACUUM ANALYZE pgqueuer", database="bench")

    def left() -> int:
        (number,) = bench.postgres.query("SELECT count(*) FROM pgqueuer", database="bench")
        return int(number)

    with running(bench, driver, commands):
        wait_until(lambda: left() <= NUMBER * 0.9, "jobs are run")
        first, began = left(), time.perf_counter()
        wait_until(lambda: left() == 0, "all jobs are done", patience=120)
        rate = first / (time.perf_counter() - began)
    bench.postgres.query("TRUNCATE pgqueuer, pgqueuer_log", database="bench")
    return rate


@contextmanager
def running(bench: Bench, driver: str, commands: list[list[Any]]) -> Iterator[None]:
    environment = SETTINGS | {"DATABASE_URL": bench.url, "PYTHONPATH": str(APPS)}
    processes = [
        subprocess.Popen(
            command,
            cwd=bench.projects[driver, False],
            env=project_environment(environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait(10)
