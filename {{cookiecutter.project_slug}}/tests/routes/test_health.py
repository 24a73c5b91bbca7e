from collections.abc import AsyncGenerator, Callable

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import URL, text

from app.core.config import Settings
from app.core.database.migrations import revisions
from app.core.database.sessions import Database
from tests.conftest import http_client
from tests.endpoints import OPEN, Endpoint

# The readiness check asks on a connection of its own, and not at each request.
ENDPOINTS = [
    Endpoint("GET /health/live", OPEN, statements=0),
    Endpoint("GET /health/ready", OPEN, statements=0),
]

NOWHERE = URL.create("postgresql", host="127.0.0.1", port=9, database="app")


@pytest.fixture(autouse=True)
async def forget_readiness(app: FastAPI) -> AsyncGenerator[None]:
    """Let each test look at the database itself."""
    await app.state.readiness.dispose()
    yield
    await app.state.readiness.dispose()


@pytest.fixture
def without_database(settings: Settings, app_with: Callable[..., FastAPI]) -> httpx.AsyncClient:
    """Return a client of an app whose database cannot be reached."""
    url = NOWHERE.set(drivername=settings.database_url.drivername)
    app = app_with(database_url=url)
    app.state.database = Database(app.state.settings)
    return http_client(app)


async def test_ready_while_the_database_responds(client: httpx.AsyncClient) -> None:
    response = await client.get("/health/ready")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "db_schema": "at head"}


async def test_not_ready_without_the_database(without_database: httpx.AsyncClient) -> None:
    async with without_database as client:
        response = await client.get("/health/ready")

    assert response.status_code == 503
    assert response.json()["code"] == "SERVICE_UNAVAILABLE"
    assert response.headers["retry-after"] == "1"


async def test_live_even_without_the_database(without_database: httpx.AsyncClient) -> None:
    async with without_database as client:
        response = await client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_while_every_connection_of_the_pool_is_busy(
    live_client: httpx.AsyncClient, live_database: Database, settings: Settings
) -> None:
    pools = (
        (live_database.writer, settings.database_pool_size),
        (live_database.reader, settings.database_read_pool_size),
    )
    connections = [await engine.connect() for engine, size in pools for _ in range(size)]
    try:
        response = await live_client.get("/health/ready")
    finally:
        for connection in connections:
            await connection.close()

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("revision", "status", "said"),
    [
        (revisions()[0], 503, "run `app migrate`"),
        ("from_tomorrow", 200, "ahead"),
    ],
)
async def test_readiness_says_where_the_schema_stands(
    live_client: httpx.AsyncClient,
    live_database: Database,
    caplog: pytest.LogCaptureFixture,
    revision: str,
    status: int,
    said: str,
) -> None:
    async def set_revision(value: str) -> None:
        async with live_database.writer.begin() as connection:
            await connection.execute(
                text("UPDATE alembic_version SET version_num = :value"), {"value": value}
            )

    await set_revision(revision)
    try:
        response = await live_client.get("/health/ready")
    finally:
        await set_revision(revisions()[-1])

    assert response.status_code == status
    assert said in response.text
    # Which revisions those are is for the log: the response is anybody's.
    assert revision not in response.text
    assert revisions()[-1] not in response.text
    if status == 503:
        assert f"at revision {revision}, and the code needs {revisions()[-1]}" in caplog.text


async def test_not_ready_once_the_process_is_told_to_stop(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    app.state.draining.started = True
    try:
        response = await client.get("/health/ready")
    finally:
        app.state.draining.started = False

    assert response.status_code == 503
