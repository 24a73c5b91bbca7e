"""Reports of unexpected errors, as Sentry gets them."""

import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI
from sqlalchemy import text

from app.core.http.edge import EdgeRoute
from app.core.observability.repeated_lines import FirstOfMinute
from app.dependencies.database import SessionDep
from app.exceptions import NotFoundError, UnavailableError
from tests.platform.observability.receivers import Received, receiver
from tests.platform.observability.served import served

SECRET = "hunter2-of-a-client"

router = APIRouter(prefix="/things", route_class=EdgeRoute)


@router.post("/{thing_id}/bug")
async def fail(thing_id: int, body: dict[str, str]) -> None:
    local = body["secret"]
    raise LookupError(f"no such thing\nbut {local}")


@router.post("/{thing_id}/tasks")
async def fail_later(thing_id: int, tasks: BackgroundTasks) -> None:
    def work() -> None:
        raise ZeroDivisionError

    tasks.add_task(work)


@router.post("/{thing_id}/row")
async def fail_in_a_row(thing_id: int, session: SessionDep) -> None:
    """Break a rule of the database that no domain error is named for."""
    await session.execute(text("CREATE TEMPORARY TABLE once (secret text CONSTRAINT one UNIQUE)"))
    for _ in range(2):
        await session.execute(text("INSERT INTO once VALUES (:secret)"), {"secret": SECRET})


@router.post("/{thing_id}/absent")
async def miss(thing_id: int) -> None:
    raise NotFoundError(f"Thing {thing_id} not found")


@router.post("/{thing_id}/unavailable")
async def refuse(thing_id: int) -> None:
    raise UnavailableError("Later", kind="pool")


@pytest.fixture
def sentry() -> Generator[Received]:
    with receiver() as received:
        yield received


@pytest.fixture
def reported(
    app_with_routers: Callable[..., FastAPI], sentry: Received, lines: list[dict[str, Any]]
) -> Callable[..., Any]:
    """Open a client of a server that sends errors when the block ends, if not before."""

    @asynccontextmanager
    async def open_client() -> AsyncGenerator[httpx.AsyncClient]:
        dsn = sentry.url.replace("//", "//key@") + "/7"
        app = app_with_routers(router, sentry_dsn=dsn, sentry_environment="staging")
        headers = {"X-Api-Key": SECRET, "Cookie": SECRET}
        async with served(app, headers=headers) as client:
            yield client

    return open_client


async def test_unexpected_error_is_reported_once_with_request_and_route(
    reported: Callable[..., Any], sentry: Received
) -> None:
    async with reported() as client:
        response = await client.post(f"/things/7/bug?key={SECRET}", json={"secret": SECRET})

    assert response.status_code == 500
    (event,) = sentry.events
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("LookupError", "no such thing")
    assert error["stacktrace"]["frames"][-1]["function"] == "fail"
    assert event["tags"]["request_id"] == response.headers["x-request-id"]
    assert event["tags"]["route"] == "/things/{thing_id}/bug"
    assert event["transaction"] == "POST /things/{thing_id}/bug"
    assert event["environment"] == "staging"
    assert event["release"]


async def test_no_secret_of_a_request_is_reported(
    reported: Callable[..., Any], sentry: Received
) -> None:
    async with reported() as client:
        await client.post(f"/things/7/bug?key={SECRET}", json={"secret": SECRET})
        await client.post("/things/7/row")

    types = {one["exception"]["values"][-1]["type"] for one in sentry.events}
    assert {"LookupError", "IntegrityError"} <= types
    assert SECRET not in b"".join(sentry.bodies).decode()


async def test_error_of_a_background_task_is_reported_with_its_request(
    reported: Callable[..., Any], sentry: Received
) -> None:
    async with reported() as client:
        response = await client.post("/things/7/tasks")

    assert response.status_code == 200
    (event,) = sentry.events
    assert event["exception"]["values"][-1]["type"] == "ZeroDivisionError"
    assert event["tags"]["request_id"] == response.headers["x-request-id"]


async def test_domain_errors_and_other_messages_are_not_reported(
    reported: Callable[..., Any], sentry: Received
) -> None:
    async with reported() as client:
        statuses = [
            (await client.post(path)).status_code
            for path in ("/things/7/absent", "/things/7/unavailable", "/things/x/bug", "/nowhere")
        ]
        logging.getLogger("app").error("no traceback")

    assert statuses == [404, 503, 422, 404]
    assert sentry.events == []


@pytest.mark.parametrize("status", [500, 429])
async def test_sentry_that_fails_hinders_nobody(
    app_with_routers: Callable[..., FastAPI], status: int
) -> None:
    logger = logging.getLogger("app")
    with receiver(lambda: status) as sentry:
        dsn = sentry.url.replace("//", "//key@") + "/7"
        app = app_with_routers(router, sentry_dsn=dsn)
        async with app.router.lifespan_context(app):
            for number in range(3):
                try:
                    raise LookupError(number)
                except LookupError:
                    logger.exception("a bug")

    assert sentry.bodies


@pytest.mark.skipif(sys.platform == "win32", reason="connections are refused after seconds there")
async def test_sentry_that_cannot_be_reached_is_one_warning_a_minute(
    app_with_routers: Callable[..., FastAPI], caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with_routers(router, sentry_dsn="http://key@127.0.0.1:9/7")
    async with app.router.lifespan_context(app):
        for number in range(3):
            logging.getLogger("app").error("a bug", exc_info=LookupError(number))

    assert [line.partition(" ")[0] for line in caplog.messages].count("Retrying") == 1


def test_warning_of_the_next_minute_is_logged() -> None:
    is_first = FirstOfMinute()
    records = [logging.makeLogRecord({"created": created}) for created in (100, 159.9, 160, 161)]

    assert [is_first.filter(record) for record in records] == [True, False, True, False]
