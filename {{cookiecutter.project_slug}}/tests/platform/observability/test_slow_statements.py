"""Slow statements are logged, with their text and without their parameters."""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.config import Settings
from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.dependencies.database import SessionDep
from app.exceptions import UnavailableError
from tests.conftest import http_client
from tests.platform.log_lines import Line

router = APIRouter(prefix="/slow", route_class=EdgeRoute)


@router.get("/{number}")
async def run_slow_statement(number: int, session: SessionDep) -> None:
    await session.execute(text(f"SELECT {number} AS slow"))


SLOW = "SELECT\n  pg_sleep(:seconds), CAST(:secret AS text)"


@pytest.fixture
async def slow_database(settings: Settings) -> AsyncGenerator[Database]:
    changes = {"database_slow_statement": 0.04, "database_statement_timeout": 1}
    database = Database(settings.model_copy(update=changes))
    # Now, because SQLAlchemy's own statements on a new connection are slow on a busy machine.
    for connect in (database.read, database.transaction):
        async with connect() as session:
            await session.execute(text("SELECT 1"))
    yield database
    await database.dispose()


async def ask(database: Database, statement: str, **parameters: object) -> None:
    async with database.read() as session:
        await session.execute(text(statement), parameters)


async def test_slow_statement_is_logged_without_parameters(
    slow_database: Database, lines: list[Line]
) -> None:
    await ask(slow_database, SLOW, seconds=0.06, secret="hunter2")
    await ask(slow_database, SLOW, seconds=0, secret="hunter2")

    # Threads of other tests may still log: Sentry's client goes on trying to reach its receiver.
    (line,) = [line for line in lines if "statement" in line]
    assert line["level"] == "warning"
    assert line["statement"].startswith("SELECT pg_sleep(")
    assert line["duration_ms"] >= 60
    assert "hunter2" not in str(line)


async def test_slow_statement_of_a_request_names_it(
    app_with_routers: Callable[..., FastAPI], lines: list[Line]
) -> None:
    app = app_with_routers(router, database_slow_statement=0.000_001)
    async with app.router.lifespan_context(app), http_client(app) as client:
        response = await client.get("/slow/7")

    found = [line for line in lines if line.get("statement") == "SELECT 7 AS slow"]
    assert [(line["route"], line["request_id"]) for line in found] == [
        ("/slow/{number}", response.headers["x-request-id"])
    ]


async def test_slow_statement_that_fails_is_logged_too(
    slow_database: Database, lines: list[Line]
) -> None:
    with pytest.raises(UnavailableError) as error:
        await ask(slow_database, SLOW, seconds=5, secret="x")

    assert error.value.kind == "statement_timeout"
    (line,) = lines
    assert line["statement"].startswith("SELECT pg_sleep(")


async def test_statement_that_fails_at_once_is_not(
    slow_database: Database, lines: list[Line]
) -> None:
    with suppress(SQLAlchemyError):
        await ask(slow_database, "SELECT no_such_column")

    assert lines == []


async def test_long_statement_is_shortened(slow_database: Database, lines: list[Line]) -> None:
    await ask(slow_database, f"SELECT pg_sleep(0.06), '{'x' * 5000}'")

    assert len(lines[0]["statement"]) < 2010


async def test_setting_turns_them_off(settings: Settings, lines: list[Line]) -> None:
    database = Database(settings.model_copy(update={"database_slow_statement": 0}))
    await ask(database, SLOW, seconds=0.01, secret="x")
    await database.dispose()

    assert lines == []


async def test_many_rows_at_once_are_one_statement(
    slow_database: Database, lines: list[Line]
) -> None:
    async with slow_database.transaction() as session:
        await session.execute(text("CREATE TEMPORARY TABLE many (name text) ON COMMIT DROP"))
        rows = [{"name": "hunter2"}, {"name": "correct horse"}]
        await session.execute(text("INSERT INTO many SELECT :name FROM pg_sleep(0.03)"), rows)

    (line,) = lines
    assert line["statement"].startswith("INSERT INTO many")
    assert "hunter2" not in str(line)
