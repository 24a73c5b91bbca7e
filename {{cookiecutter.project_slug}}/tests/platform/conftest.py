"""Fixtures of platform tests: an app that also serves the probe, and clients of it."""

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from functools import cache
from pathlib import Path
from typing import Final

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.database.constraints import declared_refusals
from app.core.database.drivers import run
from app.core.observability.line_formats import EscapedRecord
from app.main import create_app
from app.routes import ROUTERS
from tests.caller_variables import REQUIRED
from tests.conftest import http_client, rolled_back_client
from tests.platform import probe
from tests.platform.log_lines import Line, Lines
from tests.postgres import make_test_engine

# Those without which no settings are read.
VARIABLES: Final = {"DATABASE_URL": "postgresql://ann:pw@db.example.com/app", **REQUIRED}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment with the required variables, and an empty `.env`."""
    (tmp_path / ".env").touch()
    monkeypatch.setenv("ENV_FILE", str(tmp_path / ".env"))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def probe_table(database_url: URL) -> None:
    """Create the table of the probe in the database of this worker."""
    metadata = probe.ProbeBase.metadata

    async def create() -> None:
        engine = make_test_engine(database_url)
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await engine.dispose()

    run(database_url, create())
    declared_refusals().update(declared_refusals(metadata))


@pytest.fixture(scope="session")
def app_with_routers(settings: Settings) -> Callable[..., FastAPI]:
    """Create a new app with additional routers, a database of its own, and other settings."""

    def make_app(
        *routers: APIRouter, database: Database | None = None, **changes: object
    ) -> FastAPI:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("app.main.ROUTERS", (*ROUTERS, *routers))
            app = create_app(settings.model_copy(update=changes))
        if database:
            app.state.database = database
        return app

    return make_app


@pytest.fixture(scope="session")
def probe_app_with(
    app_with_routers: Callable[..., FastAPI], probe_table: None
) -> Callable[..., FastAPI]:
    """Create an app that serves the probe, once for each set of settings."""

    @cache
    def make_app(**changes: object) -> FastAPI:
        return app_with_routers(probe.router, **changes)

    return make_app


@pytest.fixture(scope="session")
def probe_app(probe_app_with: Callable[..., FastAPI]) -> FastAPI:
    return probe_app_with()


@pytest.fixture
async def probes(
    probe_app: FastAPI, database: Database, session: AsyncSession, admin_headers: dict[str, str]
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client that may do everything, of the app with the probe."""
    async with rolled_back_client(probe_app, database, session, headers=admin_headers) as client:
        yield client


@pytest.fixture
async def live_probes(
    probe_app: FastAPI, live_database: Database, live_admin_headers: dict[str, str]
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client whose requests commit, each on a connection of its own."""
    probe_app.state.database = live_database
    async with http_client(probe_app, headers=live_admin_headers) as client:
        yield client


@pytest.fixture
def lines() -> Generator[list[Line]]:
    """All lines of the app, of any level, and the warnings of others."""
    handler = Lines()
    app, requests, root = map(logging.getLogger, ("app", "app.requests", ""))
    level, factory = app.level, logging.getLogRecordFactory()
    app.setLevel(logging.DEBUG)
    requests.setLevel(logging.NOTSET)  # see tests/conftest.py
    logging.setLogRecordFactory(EscapedRecord)
    root.addHandler(handler)
    yield handler.lines
    root.removeHandler(handler)
    logging.setLogRecordFactory(factory)
    requests.setLevel(logging.CRITICAL)
    app.setLevel(level)
