import asyncio
import logging
from collections.abc import AsyncGenerator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.http.edge import EdgeRoute
from app.core.mail.mailer import MailError, SmtpMailer
from app.core.mail.message import Mail
from app.dependencies.auth import outbox
from app.dependencies.auth.outbox import OutboxDep, deliver
from app.dependencies.database import SessionDep
from app.exceptions import ConflictError
from app.main import create_app
from tests.auth.smtp import SmtpServer, smtp_server
from tests.conftest import http_client

MAIL = Mail("ann@example.com", "Subject", "Open https://example.com/secret-link\n")

router = APIRouter(route_class=EdgeRoute)


@router.post("/good")
async def good(session: SessionDep, outbox: OutboxDep) -> None:
    await session.execute(text("SELECT 1"))
    outbox.add(MAIL)


@router.post("/refused")
async def refused(outbox: OutboxDep) -> None:
    outbox.add(MAIL)
    raise ConflictError("No")


@router.post("/uncommitted")
async def uncommitted(session: SessionDep, outbox: OutboxDep) -> None:
    """Break a rule that PostgreSQL checks at the commit only."""
    await session.execute(text("CREATE TEMPORARY TABLE once (n int UNIQUE DEFERRABLE)"))
    await session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    await session.execute(text("INSERT INTO once VALUES (1), (1)"))
    outbox.add(MAIL)


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_DELAYS", (0.01, 0.01, 0.01, 0.01))


@pytest.fixture
async def server() -> AsyncGenerator[SmtpServer]:
    async with smtp_server() as server:
        yield server


@pytest.fixture
def mailer(settings: Settings, server: SmtpServer) -> SmtpMailer:
    chosen = {
        "mail_from": "service@example.com",
        "smtp_host": "localhost",
        "smtp_port": server.port,
        "smtp_security": "none",
    }
    return SmtpMailer(settings.model_copy(update=chosen))


@pytest.fixture(scope="module")
def app(settings: Settings) -> FastAPI:
    app = create_app(settings)
    app.include_router(router)
    return app


@pytest.fixture
async def posting(
    app: FastAPI, live_database: Database, mailer: SmtpMailer
) -> AsyncGenerator[httpx.AsyncClient]:
    app.state.database = live_database
    app.state.mailer = mailer
    async with http_client(app, raises=False) as client:
        yield client


async def test_mail_is_sent_after_the_commit(
    posting: httpx.AsyncClient, server: SmtpServer
) -> None:
    response = await posting.post("/good")

    assert response.status_code == 200
    assert [message["To"] for message in server.taken] == ["ann@example.com"]


@pytest.mark.parametrize(("path", "status"), [("/refused", 409), ("/uncommitted", 500)])
async def test_request_that_fails_sends_nothing(
    posting: httpx.AsyncClient, server: SmtpServer, path: str, status: int
) -> None:
    response = await posting.post(path)

    assert response.status_code == status
    assert server.tries == 0


async def test_server_that_refuses_twice_gets_the_mail_once(
    mailer: SmtpMailer, server: SmtpServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    server.answers = ["451 try later", "421 too busy"]

    await deliver(mailer, MAIL)

    assert server.tries == 3
    assert len(server.taken) == 1
    assert [record.levelname for record in caplog.records if record.name == outbox.__name__] == [
        "WARNING",
        "WARNING",
        "INFO",
    ]


async def test_mail_that_is_refused_for_good_is_not_tried_again(
    mailer: SmtpMailer, server: SmtpServer
) -> None:
    server.answers = ["554 no"]

    await deliver(mailer, MAIL)

    assert server.tries == 1


async def test_mail_to_a_server_that_is_down_is_given_up_without_telling_it(
    mailer: SmtpMailer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with smtp_server() as down:
        pass
    monkeypatch.setitem(mailer._options, "port", down.port)

    await deliver(mailer, MAIL)

    assert len(caplog.messages) == 5
    assert f"mail {MAIL.id} was given up: no connection" in caplog.messages[-1]
    assert "secret-link" not in caplog.text
    assert "ann@example.com" not in caplog.text


async def test_tries_are_spread_over_about_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    slept: list[float] = []

    class Failing:
        async def send(self, _mail: Mail) -> None:
            raise MailError("later", is_final=False)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await deliver(Failing(), MAIL)

    assert slept == sorted(slept)
    assert 30 <= sum(slept) <= 90
