"""Metrics of a service with several processes, and what Prometheus and Grafana are told to do with them."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import promql_parser
import psutil
import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy import URL

from app.core.config import Settings
from app.core.env_file import PROJECT
from app.core.observability.metrics.jobs import JobMetrics
from app.core.observability.metrics.registry import Registry
from app.worker import create_worker
from tests.conftest import http_client
from tests.platform.observability.scrapes import Scrape, scrape
from tests.ports import free_port

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no metrics to share"),
]

WORKERS: Final = 2
POOL_SIZE: Final = 3
OF_PROMETHEUS: Final = {"up"}  # it writes this one itself
ITS_LABELS: Final = {"job", "instance"}


@dataclass(frozen=True)
class Service:
    """A running service, and the port of its metrics."""

    process: psutil.Process
    client: httpx.Client
    metrics_url: str

    def get(self, path: str) -> None:
        self.client.get(path)

    def scrape(self) -> Scrape:
        return Scrape.of(self.client.get(f"{self.metrics_url}/metrics"))

    def workers(self) -> list[psutil.Process]:
        """Return the processes that serve."""
        return [
            child for child in self.process.children() if "spawn_main" in "".join(child.cmdline())
        ]

    def is_complete(self) -> bool:
        """Return whether the figures of all workers are in a scrape, and of no others."""
        try:
            size = self.scrape().sum("database_pool_size", pool="writer")
        except httpx.TransportError:
            return False
        return size == WORKERS * POOL_SIZE


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def service(database_url: URL, caller_settings: dict[str, Any]) -> Generator[Service]:
    """A service with two workers, which has had some requests."""
    port, metrics_port = free_port(), free_port()
    plain = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in caller_settings.items()
    }
    values = plain | {
        "development": "true",
        "database_url": database_url.render_as_string(hide_password=False),
        "database_pool_size": str(POOL_SIZE),
        "metrics": str(metrics_port),
    }
    environment = os.environ | {name.upper(): value for name, value in values.items()}
    command = ["uvicorn", "app.asgi:app", "--port", str(port), "--workers", str(WORKERS)]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Connection": "close"},  # any process gets the next request
        trust_env=False,
    )
    service = Service(psutil.Process(process.pid), client, f"http://127.0.0.1:{metrics_port}")
    try:
        wait_until(service.is_complete)
        paths = ("/", "/users/9", "/nowhere", "/health/live")
        for path in paths:
            service.get(path)
        # A worker counts a request after its client has the response; another one may serve the scrape.
        wait_until(lambda: service.scrape().sum("http_requests_total") >= len(paths))
        yield service
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def test_figures_of_all_processes_add_up(service: Service) -> None:
    before = service.scrape().sum("http_requests_total", status="404")
    for _ in range(20):
        service.get("/nowhere")
    wait_until(lambda: service.scrape().sum("http_requests_total", status="404") == before + 20)

    found = service.scrape()
    assert found.sum("http_request_duration_seconds_count") == found.sum("http_requests_total")
    assert found.sum("database_pool_size", pool="writer") == WORKERS * POOL_SIZE


def test_killed_process_leaves_what_it_has_counted_and_no_gauges(service: Service) -> None:
    before = service.scrape().sum("http_requests_total")
    killed, *_ = service.workers()
    killed.kill()
    killed.wait(20)
    assert service.scrape().sum("database_pool_size", pool="writer") < WORKERS * POOL_SIZE
    wait_until(service.is_complete)  # the supervisor starts another one

    assert service.scrape().sum("http_requests_total") == before


def expressions() -> Iterator[tuple[str, str]]:
    """Yield every query of the dashboards and rules, with its name."""
    for path in sorted(PROJECT.glob("deploy/grafana/dashboards/*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        for variable in dashboard["templating"]["list"]:
            for name in re.findall(r"label_values\((\w+),", variable["query"]):
                yield f"{path.stem}: ${variable['name']}", name
        for panel in dashboard["panels"]:
            assert not panel.get("panels"), "a collapsed row has panels of its own"
            for target in panel.get("targets", []):
                yield f"{path.stem}: {panel['title']}", target["expr"]
    rules = yaml.safe_load((PROJECT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def nodes_of(query: str) -> list[promql_parser.Expr]:
    nodes: list[promql_parser.Expr] = []
    parsed = promql_parser.parse(query.replace("$__rate_interval", "5m"))  # as Grafana does
    promql_parser.walk(parsed, pre_visit=nodes.append)
    return nodes


def selectors_of(query: str) -> list[promql_parser.VectorSelector]:
    return [node for node in nodes_of(query) if isinstance(node, promql_parser.VectorSelector)]


def missing(query: str, series: dict[str, set[str]]) -> Iterator[str]:
    """Yield each series and label of a query that does not exist."""
    nodes = nodes_of(query)
    selectors = selectors_of(query)
    assert selectors
    known = set(ITS_LABELS)
    for selector in selectors:
        name = str(selector.name)
        if name not in series.keys() | OF_PROMETHEUS:
            yield name
        known |= series.get(name, set())
        yield from {matcher.name for matcher in selector.matchers.matchers} - known
    for node in nodes:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            yield from set(node.modifier.labels) - known


def series_of_workers() -> dict[str, set[str]]:
    registry = Registry(None)
    metrics = JobMetrics(registry)
    metrics.observe("task", "done", 1)
    metrics.show([("task", "queued", 1, 1)])
    return Scrape.parse(registry.render().decode()).labels()


def test_dashboards_and_alerts_name_series_and_labels_that_exist(service: Service) -> None:
    series = service.scrape().labels() | series_of_workers()
    wrong = [(name, what) for name, query in expressions() for what in missing(query, series)]

    assert wrong == []


def test_alerts_do_not_divide_sums_over_instances() -> None:
    """The idle pools of a worker would hide that those of the API are exhausted."""
    divided = [
        name
        for name, query in expressions()
        for node in nodes_of(query)
        if isinstance(node, promql_parser.BinaryExpr)
        and str(node.op) == "/"
        and any(
            isinstance(side, promql_parser.AggregateExpr)
            and isinstance(side.expr, promql_parser.VectorSelector)  # of gauges, without rate()
            for side in (node.lhs, node.rhs)
        )
    ]

    assert divided == []


async def test_alert_of_readiness_counts_what_only_the_api_does(
    service: Service, settings: Settings
) -> None:
    query = dict(expressions())["NotReady"]
    (selector,) = selectors_of(query)
    name = str(selector.name)
    wanted = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
    del wanted["job"]
    worker = create_worker(settings.model_copy(update={"metrics": "on"}))
    service.get("/health/ready")
    wait_until(lambda: service.scrape().sum(name, **wanted) > 0)
    async with http_client(worker) as client:
        await client.get("/health/live")
        await client.get("/health/ready")
        of_worker = await scrape(client)

    assert of_worker.sum(name) == 0


def test_series_of_the_readme_exist(service: Service) -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    listed = {
        name
        for row in re.findall(r"(?m)^\| (`[^|]+)", table)
        for name in re.findall(r"`(\w+)`", row)
    }
    found = {
        re.sub("_(bucket|count|sum)$", "", name)
        for name in service.scrape().labels() | series_of_workers()
    }

    assert listed - found == set()


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("no_such_series", "no_such_series"),
        ('rate(http_requests_total{verb="GET"}[5m])', "verb"),
        ("sum by (code) (http_requests_total)", "code"),
    ],
)
def test_other_names_would_be_found(service: Service, query: str, wrong: str) -> None:
    assert list(missing(query, service.scrape().labels())) == [wrong]
