"""The ladder: the same four requests to apps of ever more layers, in interleaved rounds."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.bench import CREATE, DRIVERS, READ_ONE, Bench, get
from benchmarks.servers import Result, Server

CONNECTIONS = 32
WORKLOADS = ("W1 one row", "W2 who am I", "W3 page of 20", "W4 create")
CORE, TEXTBOOK, TEMPLATE = "FastAPI + SQLAlchemy Core", "textbook layers", "this template"

# Well under what is measured: a change that reaches them has cost something.
FLOORS = {CORE: 0.6, TEXTBOOK: 1.6}


@dataclass(frozen=True)
class Row:
    """The medians of one app in one workload."""

    app: str
    driver: str
    workload: str
    requests_per_second: float
    p50: float
    p99: float
    cpu_per_request: float

    @classmethod
    def of(cls, app: str, driver: str, workload: str, results: list[Result]) -> "Row":
        names = ("requests_per_second", "p50", "p99", "cpu_per_request")
        return cls(
            app, driver, workload, *(median(getattr(r, name) for r in results) for name in names)
        )


def measure(bench: Bench, rounds: int, seconds: float) -> list[Row]:
    requests = dict(
        zip(WORKLOADS, (READ_ONE, bench.me, get("/posts?limit=20"), CREATE), strict=True)
    )
    with ExitStack() as stack:
        servers = start(bench, stack)
        results: dict[tuple[str, str, str], list[Result]] = {}
        for number in range(rounds + 1):  # the first one warms up
            for (app, driver), server_for in servers.items():
                for workload, request in requests.items():
                    result = server_for[workload].load(
                        request, connections=CONNECTIONS, seconds=seconds if number else 0.5
                    )
                    if number:
                        results.setdefault((app, driver, workload), []).append(result)
            bench.tidy()
    return [Row.of(*key, found) for key, found in results.items()]


def start(bench: Bench, stack: ExitStack) -> dict[tuple[str, str], dict[str, Server]]:
    """Start every app, and return which server has which workload."""

    def everything(server: Server) -> dict[str, Server]:
        return dict.fromkeys(WORKLOADS, server)

    servers = {
        ("Starlette", "asyncpg"): everything(
            stack.enter_context(bench.ladder("starlette_asyncpg"))
        ),
        ("FastAPI", "asyncpg"): everything(stack.enter_context(bench.ladder("fastapi_asyncpg"))),
    }
    for driver in DRIVERS:
        for name, app in ((CORE, "fastapi_core"), (TEXTBOOK, "textbook")):
            servers[name, driver] = everything(stack.enter_context(bench.ladder(app, driver)))
        # A registration hashes a password where there is one, so W4 goes to the variant without.
        servers[TEMPLATE, driver] = everything(stack.enter_context(bench.baked(driver))) | {
            "W2 who am I": stack.enter_context(bench.baked(driver, use_auth=True))
        }
    return servers


def ratios(rows: list[Row]) -> list[dict[str, Any]]:
    """Return each of the template's rows with its requests per second relative to the other apps'."""
    by_app = {(row.app, row.driver, row.workload): row for row in rows}
    return [
        asdict(row)
        | {
            f"to {other}": row.requests_per_second
            / by_app[other, row.driver, row.workload].requests_per_second
            for other in (CORE, TEXTBOOK)
        }
        for row in rows
        if row.app == TEMPLATE
    ]


def table(rows: list[Row]) -> str:
    lines = [f"{'':15}{'app':27}{'driver':9}{'req/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs':>8}"]
    lines += [f"{'':15}{'':27}{'':9}{'':8}{'':8}{'':8}{'':8}{'to Core':>9}{'to textbook':>13}"]
    compared = {(row["driver"], row["workload"]): row for row in ratios(rows)}
    for workload in WORKLOADS:
        for row in rows:
            if row.workload != workload:
                continue
            line = (
                f"{workload:15}{row.app:27}{row.driver:9}{row.requests_per_second:8.0f}"
                f"{row.p50:8.1f}{row.p99:8.1f}{row.cpu_per_request:8.0f}"
            )
            if row.app == TEMPLATE:
                ratio = compared[row.driver, workload]
                line += f"{ratio[f'to {CORE}']:9.2f}{ratio[f'to {TEXTBOOK}']:13.2f}"
            lines.append(line)
    return "\n".join(lines)


def below_floors(rows: list[Row]) -> list[str]:
    """Return a sentence for each ratio that is lower than it may be."""
    return [
        f"{row['workload']} with {row['driver']}: {row[f'to {other}']:.2f} of {other}, "
        f"but {floor} is the least"
        for row in ratios(rows)
        for other, floor in FLOORS.items()
        if row[f"to {other}"] < floor
    ]
