"""However many clients ask whether the service is ready, the database is asked once in a second."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from itertools import pairwise

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, event, text

from app.core.config import Settings
from app.core.database import Database
from app.core.database.readiness import ReadinessProbe
from app.main import create_app
from tests.conftest import http_client
from tests.platform.database.conftest import without_tls
from tests.platform.database.proxy import Proxy, proxy_to

POLLERS = 40
LATE = 1.5  # on a busy machine
MARK = "SELECT version_num FROM alembic_version"


@pytest.fixture
def looks() -> Generator[list[float]]:
    """A list to which the time of each look at the database is added."""
    times: list[float] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == MARK:
            times.append(time.monotonic())

    event.listen(Engine, "before_cursor_execute", record)
    yield times
    event.remove(Engine, "before_cursor_execute", record)


@pytest.fixture
async def proxy(settings: Settings) -> AsyncGenerator[Proxy]:
    async with proxy_to(settings.database_url) as proxy:
        yield proxy


@pytest.fixture
async def make_app(settings: Settings, proxy: Proxy) -> AsyncGenerator[Callable[..., FastAPI]]:
    """Create apps whose database is behind the proxy."""
    apps = []

    def make(**changes: object) -> FastAPI:
        changes = {"database_url": without_tls(proxy.url)} | changes
        app = create_app(settings.model_copy(update=changes))
        app.state.database = Database(app.state.settings)
        apps.append(app)
        return app

    yield make
    for app in apps:
        await app.state.readiness.dispose()


@asynccontextmanager
async def started(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    async with app.router.lifespan_context(app), http_client(app) as client:
        yield client


async def test_error_for_which_nobody_waits_any_more_is_not_logged(settings: Settings) -> None:
    """If it were, the event loop of the tests would raise it."""
    nowhere = settings.database_url.set(database="nowhere")
    probe = ReadinessProbe(settings.model_copy(update={"database_url": nowhere}))
    client = asyncio.create_task(probe.check())
    await asyncio.sleep(0)
    client.cancel()

    await asyncio.wait([client])
    await probe.dispose()

    gc.collect()
    await asyncio.sleep(0)


async def status(client: httpx.AsyncClient) -> int:
    return (await client.get("/health/ready")).status_code


async def becomes(client: httpx.AsyncClient, wanted: int) -> None:
    async with asyncio.timeout(20):
        while await status(client) != wanted:
            await asyncio.sleep(0.1)


async def test_pollers_at_once_share_a_check(
    make_app: Callable[..., FastAPI], proxy: Proxy, looks: list[float]
) -> None:
    async with http_client(make_app()) as client:
        statuses = await asyncio.gather(*(status(client) for _ in range(POLLERS)))

    assert statuses == [200] * POLLERS
    assert len(looks) == 1
    assert len(proxy.tasks) == 1  # connections


async def test_pollers_without_pause_do_not_fail_the_probe_of_the_orchestrator(
    make_app: Callable[..., FastAPI], proxy: Proxy, looks: list[float]
) -> None:
    is_over = asyncio.Event()

    async def poll() -> None:
        while not is_over.is_set():
            await status(client)
            await asyncio.sleep(0)  # a response that is at hand leaves the loop to nobody

    async with started(make_app(readiness_timeout=5)) as client:
        pollers = [asyncio.create_task(poll()) for _ in range(POLLERS)]
        for _ in range(4):
            await asyncio.sleep(0.5)
            assert await status(client) == 200
        is_over.set()
        await asyncio.gather(*pollers)

    # At least a second apart, but for the precision of timers.
    assert all(later - earlier > 0.9 for earlier, later in pairwise(looks))
    assert len(looks) >= 2
    assert len(proxy.tasks) < POLLERS  # not one for each


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("at", ["the first connection", "a statement"])
async def test_database_that_stalls_is_reported_within_the_timeout(
    make_app: Callable[..., FastAPI], proxy: Proxy, at: str
) -> None:
    if at == "the first connection":
        proxy.freeze()
    async with started(make_app(readiness_timeout=0.5)) as client:
        if at == "a statement":
            assert await status(client) == 200
            proxy.freeze()
        await asyncio.sleep(1.1)  # until the result of the start is forgotten
        begun = time.monotonic()
        statuses = await asyncio.gather(*(status(client) for _ in range(POLLERS)))
        took = time.monotonic() - begun
        proxy.thaw()
        await becomes(client, 200)

    assert statuses == [503] * POLLERS
    assert took < 0.5 + LATE


async def test_lost_connection_is_replaced_without_a_failed_probe(
    make_app: Callable[..., FastAPI], proxy: Proxy, live_database: Database
) -> None:
    url = without_tls(proxy.url).update_query_dict({"application_name": "readiness"})
    terminate = text(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'readiness'"
    )
    async with started(make_app(database_url=url)) as client:
        async with live_database.transaction() as session:
            assert await session.scalar(terminate) >= 1
        connections, statuses = len(proxy.tasks), set()
        while len(proxy.tasks) == connections:
            statuses.add(await status(client))
            await asyncio.sleep(0.05)
        statuses.add(await status(client))

    assert statuses == {200}
    async with live_database.read() as session, asyncio.timeout(5):
        while await session.scalar(
            text(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'readiness'"
            )
        ):
            await asyncio.sleep(0.01)  # until the server has noticed


@pytest.mark.parametrize("looks_now", [False, True])
async def test_server_that_hangs_does_not_hold_up_the_exit(
    make_app: Callable[..., FastAPI], proxy: Proxy, *, looks_now: bool
) -> None:
    app = make_app(readiness_timeout=0.5)
    async with http_client(app) as client:
        assert await status(client) == 200
        proxy.freeze()
        await asyncio.sleep(1.1)  # until the result is forgotten
        poller = asyncio.create_task(status(client)) if looks_now else None
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            await app.state.readiness.dispose()

        assert poller is None or await poller == 503


async def test_client_that_stops_waiting_does_not_cancel_the_check_for_others(
    make_app: Callable[..., FastAPI], proxy: Proxy
) -> None:
    proxy.freeze()
    async with http_client(make_app()) as client:
        first, second = (asyncio.create_task(status(client)) for _ in range(2))
        await asyncio.sleep(0.2)
        first.cancel()
        await asyncio.wait([first])
        proxy.thaw()

        assert await second == 200
