"""What is measured, and who may see it."""

import asyncio
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, suppress
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.statements import verbatim
from app.core.env_file import PROJECT
from app.core.observability.metrics import port as metrics_port
from app.core.observability.requests import note_outcome
from app.exceptions import AppError, UnavailableError
from tests.conftest import http_client
from tests.ip_versions import has_ipv6
from tests.platform.log_lines import own_records
from tests.platform.observability.scrapes import Scrape, scrape

router = APIRouter(prefix="/things")
ongoing = asyncio.Event()


@router.get("/slow")
async def slow() -> None:
    await ongoing.wait()


@router.get("/{thing_id}")
async def read(thing_id: int) -> int:
    return thing_id


@router.get("/{thing_id}/bug")
async def bug(thing_id: int) -> None:
    raise ZeroDivisionError(thing_id)


@router.get("/{thing_id}/away")
async def away(thing_id: int) -> None:
    raise UnavailableError(f"{thing_id} is away", kind="away")


@router.get("/{thing_id}/closed")
async def closed(thing_id: int) -> None:
    raise HTTPException(503, f"{thing_id} is closed")


@router.get("/{thing_id}/again")
async def again(thing_id: int) -> int:
    note_outcome("replayed")
    return thing_id


MakeApp = Callable[..., FastAPI]


@pytest.fixture
def app(app_with_routers: MakeApp) -> FastAPI:
    """An app that has not been asked for anything."""
    return app_with_routers(router, metrics="on")


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_client(app, raises=False) as client:
        yield client


@pytest.fixture
async def running(app: FastAPI, settings: Settings) -> AsyncGenerator[Database]:
    """The database of the app, whose lifespan has begun."""
    app.state.settings = settings.model_copy(update={"database_read_pool_size": 1})
    async with app.router.lifespan_context(app):
        yield app.state.database


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", "/things/7", {"route": "/things/{thing_id}", "method": "GET", "status": "200"}),
        ("GET", "/things/x", {"route": "/things/{thing_id}", "method": "GET", "status": "422"}),
        ("GET", "/things/7/bug", {"route": "/things/{thing_id}/bug", "status": "500"}),
        ("HEAD", "/things/7", {"route": "/things/{thing_id}", "method": "HEAD", "status": "200"}),
        ("GET", "/nowhere/7", {"route": "unmatched", "status": "404"}),
        ("SNIFF", "/things/7", {"method": "other", "status": "405"}),
        ("GET", "/health/live", {"route": "/health/live", "status": "200"}),
    ],
)
async def test_request_is_counted_by_route_method_and_status(
    client: httpx.AsyncClient, method: str, path: str, labels: dict[str, str]
) -> None:
    await client.request(method, path)
    found = await scrape(client)

    assert found.sum("http_requests_total") == found.sum("http_requests_total", **labels) == 1


async def test_clients_cannot_add_series(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await client.get(f"/nowhere/{number}")
        await client.get(f"/things/{number}")
        await client.request(f"SNIFF{number}", "/things/1")
    found = await scrape(client)

    assert found.values("http_requests_total", "method") == {"GET", "other"}
    assert found.values("http_requests_total", "route") <= {"unmatched", "/things/{thing_id}"}


async def test_duration_is_a_histogram(client: httpx.AsyncClient) -> None:
    await client.get("/things/7")
    found = await scrape(client)

    name, route = "http_request_duration_seconds", "/things/{thing_id}"
    assert 0 < found.sum(f"{name}_sum", route=route) < 10
    assert found.sum(f"{name}_bucket", route=route, le="+Inf") == 1
    assert found.values(f"{name}_bucket", "le") >= {"0.005", "1.0", "10.0"}


async def test_requests_in_progress_are_all_but_the_scrape(client: httpx.AsyncClient) -> None:
    assert (await scrape(client)).sum("http_requests_in_progress") == 0
    ongoing.clear()
    request = asyncio.create_task(client.get("/things/slow"))
    await asyncio.sleep(0.01)
    during = await scrape(client)
    ongoing.set()
    await request
    after = await scrape(client)

    assert during.sum("http_requests_in_progress") == 1
    assert after.sum("http_requests_in_progress") == 0
    assert after.sum("http_requests_total") == 1


async def test_503_is_counted_by_its_cause(client: httpx.AsyncClient) -> None:
    await client.get("/things/7/away")
    await client.get("/things/7/closed")
    found = await scrape(client)

    assert found.sum("http_unavailable_total", cause="away") == 1
    assert found.sum("http_unavailable_total", cause="other") == 1
    assert found.sum("http_unavailable_total") == 2


async def test_503_of_a_health_check_has_no_cause(
    app: FastAPI, client: httpx.AsyncClient, database: Database
) -> None:
    app.state.database = database
    app.state.draining.started = True
    await client.get("/health/ready")
    found = await scrape(client)

    assert found.sum("http_requests_total", route="/health/ready", status="503") == 1
    assert found.sum("http_unavailable_total") == 0


async def test_idempotent_replays_are_counted(client: httpx.AsyncClient) -> None:
    await client.get("/things/7/again")
    await client.get("/things/7")

    assert (await scrape(client)).sum("idempotent_replays_total") == 1


async def test_pools_tell_how_full_they_are(client: httpx.AsyncClient, running: Database) -> None:
    async def read() -> None:
        async with running.read() as session:
            await session.execute(text("SELECT pg_sleep(0.2)"))

    reading = asyncio.gather(read(), read())
    await asyncio.sleep(0.1)
    during = await scrape(client)
    await reading
    after = await scrape(client)

    def reader(found: Scrape, name: str) -> float:
        return found.sum(f"database_pool_{name}", pool="reader")

    assert during.values("database_pool_size", "pool") == {"writer", "reader", "searcher"}
    assert [reader(during, name) for name in ("size", "in_use", "waiting")] == [1, 1, 1]
    assert [reader(after, name) for name in ("size", "in_use", "waiting")] == [1, 0, 0]
    assert [reader(found, "waits_total") for found in (during, after)] == [0, 1]
    assert 0.05 < reader(after, "wait_seconds_total") < 10


async def test_replica_has_pools_of_its_own(
    app: FastAPI, client: httpx.AsyncClient, settings: Settings
) -> None:
    app.state.settings = settings.model_copy(update={"database_replica_url": settings.database_url})
    async with app.router.lifespan_context(app):
        pools = (await scrape(client)).values("database_pool_size", "pool")

    assert pools == {"writer", "reader", "searcher", "replica", "replica_searcher"}


async def fail(database: Database, sqlstate: str) -> None:
    """Have PostgreSQL raise an error."""
    async with database.transaction() as session:
        await session.execute(verbatim(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$"))


async def test_transactions_and_deadlocks_are_counted(
    client: httpx.AsyncClient, running: Database
) -> None:
    async with running.transaction() as session:
        await session.execute(text("SELECT 1"))
    for sqlstate in ("40P01", "55P03"):
        with pytest.raises(AppError):
            await fail(running, sqlstate)
    found = await scrape(client)

    assert found.sum("database_commits_total") == 1
    assert found.sum("database_rollbacks_total") == 2
    assert found.sum("database_deadlocks_total") == 1


async def test_lines_that_the_log_has_dropped_are_counted(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = iter([3, 5, 1])  # the last one of a new queue
    monkeypatch.setattr(
        "app.core.observability.metrics.observer.dropped_lines", lambda: next(dropped)
    )
    counted = [(await scrape(client)).sum("log_lines_dropped_total") for _ in range(3)]

    assert counted == [3, 5, 6]


async def test_application_that_is_started_again_goes_on_counting(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    for _ in range(2):
        async with app.router.lifespan_context(app), app.state.database.transaction() as session:
            await session.execute(text("SELECT 1"))

    assert (await scrape(client)).sum("database_commits_total") == 2


@pytest.mark.parametrize(
    ("development", "metrics", "served"),
    [
        (True, "", True),
        (True, "off", False),
        (False, "", False),
        (False, "on", True),
        (False, "9464", True),
    ],
)
def test_metrics_are_closed_outside_development_unless_they_are_opened(
    settings: Settings, *, development: bool, metrics: str, served: bool
) -> None:
    changed = settings.model_copy(update={"development": development, "metrics": metrics})

    assert changed.has_metrics is served


@pytest.mark.parametrize("value", ["yes", "0", "65536", "-1", "127.0.0.1:9464"])
def test_other_values_of_the_setting_are_refused(settings: Settings, value: str) -> None:
    with pytest.raises(ValueError, match="metrics"):
        Settings(**settings.model_dump() | {"metrics": value})


async def test_metrics_that_are_off_are_not_served(app_with_routers: MakeApp) -> None:
    app = app_with_routers(metrics="off")
    async with http_client(app) as client:
        response = await client.get("/metrics")

    assert response.status_code == 404
    assert app.state.metrics is None


@pytest.mark.parametrize(("metrics", "imported"), [("off", False), ("on", True)])
def test_metrics_that_are_off_are_not_imported(
    caller_settings: dict[str, Any], metrics: str, *, imported: bool
) -> None:
    given = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in caller_settings.items()
    }
    given |= {"database_url": "postgresql://127.0.0.1:9/app", "metrics": metrics}
    code = f"""\
import sys
from app.core.config import Settings
from app.main import create_app
create_app(Settings(development=True, **{given!r}))
print("prometheus_client" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    completed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)

    assert completed.stdout == f"{imported}\n"


@pytest.mark.parametrize(
    ("changes", "path", "status"),
    [
        ({"allowed_hosts": ("api.example.com",)}, "/metrics", 200),
        ({"api_prefix": "/api"}, "/metrics", 200),
        ({"api_prefix": "/api"}, "/api/metrics", 404),
        ({}, "/metrics/", 404),
    ],
)
async def test_scrape_may_name_any_host_and_one_path(
    app_with_routers: MakeApp, changes: dict[str, Any], path: str, status: int
) -> None:
    async with http_client(app_with_routers(metrics="on", **changes)) as client:
        response = await client.get(path, headers={"Host": "10.0.0.7:8000"})

    assert response.status_code == status


async def test_scrape_is_plain_text_that_nobody_stores(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    head = await client.head("/metrics")

    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert head.status_code == 200
    assert (await client.post("/metrics")).status_code == 404


def test_metrics_are_no_part_of_the_document(app: FastAPI) -> None:
    assert "/metrics" not in app.openapi()["paths"]


async def test_route_of_the_project_is_not_hidden(app_with_routers: MakeApp) -> None:
    own = APIRouter()
    own.add_api_route("/metrics", read)

    with pytest.raises(ConfigurationError, match="METRICS: /metrics is a route of the project"):
        app_with_routers(own, metrics="on")
    app_with_routers(own, metrics="9464")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_metrics_can_have_a_port_of_their_own(app_with_routers: MakeApp, port: int) -> None:
    app = app_with_routers(metrics=str(port))
    own = f"http://127.0.0.1:{port}"
    async with app.router.lifespan_context(app), http_client(app) as client:
        assert (await client.get("/metrics")).status_code == 404
        async with httpx.AsyncClient(trust_env=False) as scraper:
            assert Scrape.of(await scraper.get(f"{own}/metrics")).sum("http_requests_total") == 1
            assert (await scraper.get(f"{own}/users")).status_code == 404

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("has_both", [True, False])
async def test_port_of_its_own_is_reached_by_either_version_of_ip(
    app_with_routers: MakeApp, port: int, monkeypatch: pytest.MonkeyPatch, *, has_both: bool
) -> None:
    if has_both and not (socket.has_dualstack_ipv6() and has_ipv6()):
        pytest.skip("this machine has one version of IP")
    monkeypatch.setattr("socket.has_dualstack_ipv6", lambda: has_both)
    app = app_with_routers(metrics=str(port))
    async with app.router.lifespan_context(app), httpx.AsyncClient(trust_env=False) as scraper:
        for host in ["127.0.0.1", "[::1]"] if has_both else ["127.0.0.1"]:
            assert (await scraper.get(f"http://{host}:{port}/metrics")).status_code == 200


async def test_port_of_its_own_serves_few_connections_at_a_time(
    app_with_routers: MakeApp, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_port, "_MAX_CONNECTIONS", 2)
    app = app_with_routers(metrics=str(port))
    url = f"http://127.0.0.1:{port}/metrics"
    async with app.router.lifespan_context(app), httpx.AsyncClient(trust_env=False) as scraper:
        with ExitStack() as idle:
            for _ in range(2):
                idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            with pytest.raises(httpx.TransportError):
                await scraper.get(url)
        await until_served(scraper, url)
        for _ in range(4):  # each connection has left its place
            assert (await scraper.get(url)).status_code == 200


async def test_port_of_its_own_waits_for_no_slow_connection(
    app_with_routers: MakeApp, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends a byte now and then is not silent."""
    monkeypatch.setattr(metrics_port, "_TIMEOUT", 0.2)
    app = app_with_routers(metrics=str(port))

    async def drip() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nX: ")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    async with app.router.lifespan_context(app), asyncio.timeout(5):
        await drip()


async def test_scraper_that_has_gone_is_not_logged(
    app_with_routers: MakeApp,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handle = metrics_port.MetricsServer.handle_error
    handled = threading.Event()

    def watched(*arguments: Any) -> None:
        handle(*arguments)
        handled.set()

    monkeypatch.setattr(metrics_port.MetricsServer, "handle_error", watched)
    app = app_with_routers(metrics=str(port))
    async with app.router.lifespan_context(app):
        with socket.create_connection(("127.0.0.1", port)) as scraper:
            scraper.sendall(b"GET /metr")
            # So that closing resets the connection.
            scraper.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert await asyncio.to_thread(handled.wait, 5)

    logged = [one.getMessage() for one in own_records(caplog.records)]
    assert logged == [f"METRICS: /metrics is on port {port}"]
    assert {one.name.partition(".")[0] for one in caplog.records} == {"app"}


async def until_served(client: httpx.AsyncClient, url: str) -> None:
    async with asyncio.timeout(5):
        while True:
            with suppress(httpx.TransportError):
                await client.get(url)
                return
            await asyncio.sleep(0.01)


async def test_scrape_that_fails_is_logged(
    app_with_routers: MakeApp,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_with_routers(metrics=str(port))
    monkeypatch.setattr(app.state.metrics, "scrape", Mock(side_effect=ZeroDivisionError))
    async with app.router.lifespan_context(app), httpx.AsyncClient(trust_env=False) as scraper:
        with pytest.raises(httpx.RemoteProtocolError):
            await scraper.get(f"http://127.0.0.1:{port}/metrics")

    assert "A scrape of the metrics failed" in caplog.messages


async def test_port_that_is_in_use_is_named(app_with_routers: MakeApp, port: int) -> None:
    app = app_with_routers(metrics=str(port))
    refused = pytest.raises(RuntimeError, match=f"METRICS: port {port} cannot be used: ")
    with socket.create_server(("", port)), refused:
        async with app.router.lifespan_context(app):
            pass
