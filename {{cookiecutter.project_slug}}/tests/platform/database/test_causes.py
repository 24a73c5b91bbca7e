"""A failure of the database leaves one line that says why, and a bug is no failure of it."""

import asyncio
import logging
from collections.abc import Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse
from sqlalchemy import URL, text

from app.core.config import Settings
from app.core.database.drivers import driver_for
from app.core.http.edge import EdgeRoute
from app.dependencies.database import SessionDep
from app.dependencies.settings import SettingsDep
from app.exceptions import UnavailableError, explain
from app.main import create_app
from tests.conftest import http_client
from tests.platform.log_lines import own_records
from tests.postgres import make_test_engine

router = APIRouter(route_class=EdgeRoute)


@router.get("/ask")
@router.post("/ask")
async def ask(session: SessionDep) -> None:
    await session.execute(text("SELECT 1"))


@router.get("/lose")
@router.post("/lose")
async def lose_connection(session: SessionDep, settings: SettingsDep) -> None:
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    engine = make_test_engine(settings.database_url)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    await engine.dispose()
    await asyncio.sleep(0.05)  # the end of the stream is under way
    await session.execute(text("SELECT 1"))


@router.get("/returned")
async def return_failure() -> JSONResponse:
    return JSONResponse({}, status_code=500)


@router.get("/set-status")
async def set_status(response: Response) -> None:
    response.status_code = 503


@router.get("/broken-gateway")
async def fail() -> None:
    raise HTTPException(502, "The other system failed") from OSError("no route")


def app_on(settings: Settings, url: URL) -> FastAPI:
    app = create_app(settings.model_copy(update={"database_url": url}))
    app.include_router(router)
    return app


def missing_database(url: URL) -> URL:
    return url.set(database="missing")


def unknown_parameter(url: URL) -> URL:
    return url.update_query_dict({"options": "-c no_such_parameter=1"})


def refused_connection(url: URL) -> URL:
    return URL.create(url.drivername, host="127.0.0.1", port=9, database="app")


WRONG = [
    (missing_database, 'database "missing" does not exist'),
    (unknown_parameter, "no_such_parameter"),
    (refused_connection, "127.0.0.1"),
]


@pytest.mark.parametrize(("spoil", "said"), WRONG)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/ask"), ("POST", "/ask"), ("GET", "/health/ready")]
)
async def test_every_503_leaves_one_line_with_its_cause(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[URL], URL],
    said: str,
    method: str,
    path: str,
) -> None:
    app = app_on(settings, spoil(settings.database_url))
    async with app.router.lifespan_context(app), http_client(app) as client:
        caplog.clear()
        response = await client.request(method, path)

    assert response.status_code == 503
    assert said not in response.text
    (record,) = own_records(caplog.records)
    line = record.getMessage()
    assert line.startswith(f"{method} {path}: 503, The database cannot be reached, because ")
    assert said in line
    assert "\n" not in line
    assert record.levelname == ("WARNING" if path == "/health/ready" else "ERROR")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_connection_that_is_lost_between_two_statements_is_a_503(
    settings: Settings, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """The driver may say so by an error that is none of PostgreSQL's, such as an `InterfaceError`."""
    app = app_on(settings, settings.database_url)
    async with app.router.lifespan_context(app), http_client(app) as client:
        caplog.clear()
        response = await client.request(method, "/lose")

    assert response.status_code == 503
    lines = [record.getMessage() for record in own_records(caplog.records)]
    assert len(lines) == 1
    assert lines[0].startswith(f"{method} /lose: 503, The ")


@pytest.mark.parametrize(("spoil", "said"), WRONG)
async def test_service_whose_first_connection_fails_says_so_at_the_start(
    settings: Settings, caplog: pytest.LogCaptureFixture, spoil: Callable[[URL], URL], said: str
) -> None:
    app = app_on(settings, spoil(settings.database_url))
    async with app.router.lifespan_context(app):
        (record,) = own_records(caplog.records)

    assert record.levelno == logging.ERROR
    assert "is not ready" in record.getMessage()
    assert said in record.getMessage()


async def test_wrong_password_is_named_but_not_shown(
    settings: Settings, template_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_test_engine(template_url)
    async with engine.connect() as connection:
        uses_passwords = await connection.scalar(
            text(
                "SELECT bool_and(auth_method <> 'trust') FROM pg_hba_file_rules WHERE type = 'host'"
            )
        )
    await engine.dispose()
    if not uses_passwords and not settings.database_url.password:
        pytest.skip("this server trusts every user")
    app = app_on(settings, settings.database_url.set(password="not-the-secret"))
    async with app.router.lifespan_context(app):
        pass

    assert "password authentication failed" in caplog.text
    assert "not-the-secret" not in caplog.text


async def test_error_of_our_own_call_is_no_failure_of_the_database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    driver = driver_for(settings.database_url)
    given = driver.connect_args
    monkeypatch.setattr(
        driver, "connect_args", lambda *arguments: given(*arguments) | {"no_such_argument": 1}
    )
    app = app_on(settings, settings.database_url)
    async with app.router.lifespan_context(app), http_client(app, raises=False) as client:
        start = caplog.text
        statuses = [
            (await client.get("/ask")).status_code,
            (await client.post("/ask")).status_code,
            (await client.get("/health/ready")).status_code,
        ]

    assert "no_such_argument" in start
    assert statuses == [500, 500, 500]


async def test_error_that_a_route_raises_leaves_a_line(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_on(settings, settings.database_url)
    async with app.router.lifespan_context(app), http_client(app) as client:
        response = await client.get("/broken-gateway")

    assert response.status_code == 502
    assert [record.getMessage() for record in own_records(caplog.records)] == [
        "GET /broken-gateway: 502, 502: The other system failed, because OSError: no route"
    ]


@pytest.mark.parametrize(("path", "status"), [("/returned", 500), ("/set-status", 503)])
async def test_failure_that_a_route_returns_leaves_a_line(
    settings: Settings, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    app = app_on(settings, settings.database_url)
    async with app.router.lifespan_context(app), http_client(app) as client:
        assert (await client.get(path)).status_code == status

    assert [record.getMessage() for record in own_records(caplog.records)] == [
        f"GET {path}: {status}, returned by the handler"
    ]


def test_cause_without_a_message_is_named_by_its_type() -> None:
    error = UnavailableError("The database cannot be reached")
    error.__cause__ = TimeoutError()
    error.__cause__.__cause__ = OSError("no route")

    assert explain(error) == (
        "The database cannot be reached, because TimeoutError, because OSError: no route"
    )
    assert explain(TimeoutError()) == "TimeoutError"


def test_cancellation_by_a_timeout_is_not_named_as_its_cause() -> None:
    error = TimeoutError()
    error.__cause__ = asyncio.CancelledError()

    assert explain(error) == "TimeoutError"


async def test_error_of_the_client_leaves_none(
    anonymous: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await anonymous.get("/nowhere")

    assert not own_records(caplog.records)
