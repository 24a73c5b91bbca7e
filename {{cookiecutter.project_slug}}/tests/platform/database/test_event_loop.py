"""Whatever loop the platform has by default, the app starts one that its driver can use."""

import ast
import asyncio
import sys

import pytest
from sqlalchemy import URL, text

from app.cli.commands import with_database
from app.core.database import Database
from app.core.database.drivers import driver_for
from app.core.database.migrations import migrate
from app.core.env_file import PROJECT
from tests.postgres import clone


class ProactorEventLoop(asyncio.SelectorEventLoop):
    """Stands for the default loop of Windows, which not every driver can use."""


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "ProactorEventLoop", ProactorEventLoop, raising=False)
    for name in ("asyncio.new_event_loop", "asyncio.events.new_event_loop"):
        monkeypatch.setattr(name, ProactorEventLoop)
    monkeypatch.setattr(sys, "platform", "win32")


async def ask(database: Database) -> int:
    async with database.read() as session:
        seven: int = (await session.execute(text("SELECT 7"))).scalar_one()
    return seven


@pytest.mark.usefixtures("windows")
def test_commands_and_migrations_connect_on_windows(template_url: URL, worker_id: str) -> None:
    with clone(template_url, f"{template_url.database}_{worker_id}_windows") as url:
        migrate(url)

        assert with_database(url, ask) == 7


async def test_tests_run_in_a_loop_for_the_driver(template_url: URL) -> None:
    expected = driver_for(template_url).new_event_loop()
    expected.close()

    assert type(asyncio.get_running_loop()) is type(expected)


def test_no_other_loop_is_started() -> None:
    """`asyncio.run` takes the platform's default; `app.core.database.drivers.run` does not."""
    starts = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for folder in ("app", "alembic", "tests")
        for path in PROJECT.joinpath(folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.run"
    ]

    assert not starts
