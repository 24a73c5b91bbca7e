"""The ladder: the same four requests to apps of ever more layers, in interleaved rounds."""

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.bench import CREATE, DRIVERS, EMAIL, READ_ONE, READ_PAGE, Bench, get, post
from benchmarks.responses import ask, compare
from benchmarks.servers import Result, Server

CONNECTIONS = 32
ONE, ME, PAGE, NEW = WORKLOADS = ("W1 one row", "W2 who am I", "W3 page of 20", "W4 create")
CORE, TEXTBOOK, TEMPLATE = "FastAPI + SQLAlchemy Core", "textbook layers", "this template"

# Well under what is measured: a change that reaches them has cost something.
FLOORS = {CORE: 0.65, TEXTBOOK: 1.5}

LEGEND = """
busy: CPU time of the server in relation to the time that passed, all of one core at 100%. A server far
below that has waited, and its CPU µs say more than its requests per second. load: the same of the
process that makes the load.
"""

# Of the other requests' responses only the status has to be the template's: they show what is checked.
REFUSED = {
    ONE: [get("/posts/0"), get("/posts/9007199254740992"), get("/posts/99999")],
    ME: [
        get("/users/me"),
        get("/users/me", "Authorization: Bearer nonsense\r\n"),
    ],
    PAGE: [
        get(f"/posts?{query}")
        for query in (
            "limit=0", "limit=101", "limit=ten", "sort=id", "q=", "q=%00", "author_id=0",
            "cursor=nonsense", "cursor=WyJ0aXRsZSIsIkEiLDFd",
        )
    ],
    NEW: [
        post("/users", f'{{"email":{email},"display_name":{name}{more}}}')
        for email, name, more in (
            ('"ann"', '"Ann"', ""),
            ('"ann@example.com"', '" "', ""),
            ('"ann@example.com"', f'"{"n" * 101}"', ""),
            ('"ann@example.com"', '"Ann"', ',"nickname":"Nan"'),
            (f'"{EMAIL.upper()}"', '"Ann"', ""),
        )
    ],
}  # fmt: skip


@dataclass(frozen=True)
class App:
    """A rung of the ladder: its name, its driver, and which of its servers has which workload."""

    name: str
    driver: str
    servers: dict[str, Server]


@dataclass(frozen=True)
class Row:
    """The medians of one app in one workload.

    `relative` holds its requests per second divided by each other app's with the same driver: the
    median of what each round gives, for what is measured within seconds shares the machine's mood.
    """

    app: str
    driver: str
    workload: str
    requests_per_second: float
    p50: float
    p99: float
    cpu_per_request: float
    busy: float
    load_busy: float
    relative: dict[str, float]


Results = dict[tuple[str, str, str], list[Result]]


def measure(bench: Bench, rounds: int, seconds: float) -> list[Row]:
    """Measure every app by every workload.

    Raises `DifferentResponsesError` if there would be nothing to compare.
    """
    requests = {ONE: READ_ONE, ME: bench.me, PAGE: READ_PAGE, NEW: CREATE}
    with ExitStack() as stack:
        apps = start(bench, stack)
        check_responses(apps, requests)
        results: Results = {}
        for number in range(rounds + 1):  # the first one warms up
            for workload, request in requests.items():
                # To and fro, so that none always follows the same one.
                for app in apps if number % 2 else reversed(apps):
                    result = app.servers[workload].load(
                        request, connections=CONNECTIONS, seconds=seconds if number else 0.5
                    )
                    if number:
                        results.setdefault((app.name, app.driver, workload), []).append(result)
                    if workload == NEW:
                        bench.tidy()
    return [row(results, app, workload) for workload in WORKLOADS for app in apps]


def start(bench: Bench, stack: ExitStack) -> list[App]:
    """Start every app; those of one driver follow each other."""

    def ladder(name: str, module: str, driver: str) -> App:
        server = stack.enter_context(bench.ladder(module, driver))
        return App(name, driver, dict.fromkeys(WORKLOADS, server))

    def template(driver: str) -> App:
        # A registration hashes a password where there is one, so W4 goes to the variant without.
        plain = stack.enter_context(bench.baked(driver))
        auth = stack.enter_context(bench.baked(driver, use_auth=True))
        return App(TEMPLATE, driver, {ONE: plain, ME: auth, PAGE: plain, NEW: plain})

    apps = [
        ladder("Starlette", "starlette_asyncpg", "asyncpg"),
        ladder("FastAPI", "fastapi_asyncpg", "asyncpg"),
    ]
    for driver in DRIVERS:
        apps += [
            ladder(CORE, "fastapi_core", driver),
            template(driver),
            ladder(TEXTBOOK, "textbook", driver),
        ]
    return apps


def check_responses(apps: list[App], requests: dict[str, str]) -> None:
    """Raise `DifferentResponsesError` unless all apps respond as the first of the template's does."""
    template = next(app for app in apps if app.name == TEMPLATE)
    cursor = ask(template.servers[PAGE], READ_PAGE).body["next_cursor"]
    next_page = get(f"/posts?limit=20&cursor={cursor}")
    asked = [*requests.items(), (PAGE, next_page)]
    asked += [(workload, request) for workload in REFUSED for request in REFUSED[workload]]
    for workload, request in asked:
        expected = ask(template.servers[workload], request)
        for app in apps:
            name = f"{app.name} with {app.driver}"
            compare(name, request, expected, ask(app.servers[workload], request))


def row(results: Results, app: App, workload: str) -> Row:
    found = results[app.name, app.driver, workload]
    names = (
        "requests_per_second", "p50", "p99", "cpu_per_request", "busy", "load_busy",
    )  # fmt: skip
    medians = {name: median(getattr(result, name) for result in found) for name in names}
    others = (CORE, TEXTBOOK) if app.name == TEMPLATE else ()
    relative = {
        other: median(
            mine.requests_per_second / theirs.requests_per_second
            for mine, theirs in zip(found, results[other, app.driver, workload], strict=True)
        )
        for other in others
    }
    return Row(app.name, app.driver, workload, **medians, relative=relative)


def table(rows: list[Row]) -> str:
    head = (
        f"{'':15}{'app':27}{'driver':9}{'req/s':>7}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs':>8}"
        f"{'busy':>6}{'load':>6}{'to Core':>9}{'to textbook':>13}"
    )
    lines = [
        f"{row.workload:15}{row.app:27}{row.driver:9}{row.requests_per_second:7.0f}"
        f"{row.p50:8.1f}{row.p99:8.1f}{row.cpu_per_request:8.0f}"
        f"{row.busy:6.0%}{row.load_busy:6.0%}"
        + (f"{row.relative[CORE]:9.2f}{row.relative[TEXTBOOK]:13.2f}" if row.relative else "")
        for row in rows
    ]
    return "\n".join([head, *lines, LEGEND])


def below_floors(rows: list[Row]) -> list[str]:
    """Return a sentence for each ratio that is lower than it may be."""
    return [
        f"{row.workload} with {row.driver}: {ratio:.2f} of {other}, but {FLOORS[other]} is the least"
        for row in rows
        for other, ratio in row.relative.items()
        if round(ratio, 2) < FLOORS[other]  # what the table shows
    ]
