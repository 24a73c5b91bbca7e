"""Fixtures.

Most tests use `client`, `session` and `database`: all on one connection whose transaction is
rolled back at the end. Tests of races and commits use `live_client` and `live_database`: a pool
of connections that commit for real, on tables that are emptied afterwards.
"""

import gc
import logging
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import URL, Connection, ExceptionContext, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, SessionTransaction

from app.core.config import Settings
from app.core.database.budget import current_budget
from app.core.database.counted_sessions import ReadSession, WriteSession
from app.core.database.drivers import driver_for
from app.core.database.errors import ReadOnlySessionError
from app.core.database.sessions import Database
from app.jobs import make_kinds
from app.main import create_app
from tests.endpoints import Arrange, ArrangeOn
from tests.factories import Factory
from tests.inline_jobs import InlineJobs, run_after_response
from tests.postgres import NoServerError, clone, migrated_template, postgres_server

_stack = pytest.StashKey[ExitStack]()
_template = pytest.StashKey[URL]()
_header = pytest.StashKey[str]()
# Deletes the rows of all tables, including those that tests have created, the newest first: they refer to
# older ones. TRUNCATE takes far longer, because it makes a new file for each table and index. It is used for
# what DELETE cannot remove: rows that refer to newer ones, are hidden by a policy or kept by a trigger.
_EMPTY: Final = text(
    """
    DO $$
    DECLARE
        tables text[] := ARRAY(
            SELECT CAST(CAST(pg_class.oid AS regclass) AS text)
            FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE relkind = 'r' AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
                AND relname <> 'alembic_version'
            ORDER BY pg_class.oid DESC
        );
        name text;
    BEGIN
        SET LOCAL row_security = off;  -- an error if there are policies
        EXECUTE 'LOCK ' || array_to_string(tables, ', ') || ' IN SHARE ROW EXCLUSIVE MODE';  -- waits for writers
        FOREACH name IN ARRAY tables LOOP
            EXECUTE 'DELETE FROM ' || name;
        END LOOP;
        PERFORM setval(CAST(seqrelid AS regclass), seqstart, false) FROM pg_sequence;
    EXCEPTION WHEN integrity_constraint_violation OR insufficient_privilege OR raise_exception THEN
        EXECUTE 'TRUNCATE ' || array_to_string(tables, ', ') || ' RESTART IDENTITY CASCADE';
    END $$
    """
)

pytest_plugins = ("tests.callers",)


def pytest_configure(config: pytest.Config) -> None:
    """Start the server once for the whole run, before the header is printed."""
    _forget_settings()
    # Every request has a line there. The tests of logs turn it on, others look at what else is logged.
    logging.getLogger("app.requests").setLevel(logging.CRITICAL)
    if config.getoption("dist", "no") == "load":  # by -n: idle workers take over tests of busy ones
        config.option.dist = "worksteal"
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    config.stash[_stack] = stack = ExitStack()
    try:
        server = stack.enter_context(postgres_server())
    except NoServerError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    config.stash[_template] = stack.enter_context(migrated_template(server))
    config.stash[_header] = server.describe()


def _forget_settings() -> None:
    """Remove the settings of the developer: those of the environment, of `.env`, and secrets."""
    for name in {name for name in os.environ if name.lower() in Settings.model_fields}:
        del os.environ[name]
    os.environ["ENV_FILE"] = os.devnull
    os.environ["SECRETS_DIR"] = str(Path(__file__).parent)  # it has no file with such a name


def pytest_unconfigure(config: pytest.Config) -> None:
    if _stack in config.stash:
        config.stash[_stack].close()


def pytest_report_header(config: pytest.Config) -> str | None:
    return config.stash.get(_header, None)


def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    """Collect no class of the app as tests, whatever its name is: `Testimonial`."""
    is_ours = isinstance(obj, type) and obj.__module__.startswith("app.")
    return [] if is_ours else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long tests first, so that parallel workers finish at about the same time."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Let the garbage collector look at fewer objects, less often, which makes the tests faster.

    What imports and collection have made lives until the end.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which database to clone."""
    template = node.config.stash[_template]
    node.workerinput["template"] = template.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def anyio_backend(template_url: URL) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": driver_for(template_url).new_event_loop}


@pytest.fixture(scope="session")
def worker_id() -> str:
    """The name of this process of pytest-xdist, with or without that plugin."""
    return os.environ.get("PYTEST_XDIST_WORKER", "master")


@pytest.fixture(scope="session")
def template_url(pytestconfig: pytest.Config) -> URL:
    """The migrated database that tests clone."""
    worker: dict[str, str] = getattr(pytestconfig, "workerinput", {})
    return make_url(worker["template"]) if worker else pytestconfig.stash[_template]


@pytest.fixture(scope="session")
def database_url(template_url: URL, worker_id: str) -> Generator[URL]:
    """The database of this worker."""
    with clone(template_url, f"{template_url.database}_{worker_id}") as url:
        yield url


@pytest.fixture(scope="session")
def settings(database_url: URL, caller_settings: dict[str, Any]) -> Settings:
    return Settings(
        development=True,  # cheap hashes
        database_url=database_url,
        # Long, because a busy machine must not fail a test.
        database_deadline=60,
        database_pool_timeout=60,
        database_connect_timeout=60,
        readiness_timeout=60,
        database_second_connection="raise",
        **caller_settings,
    )


@pytest.fixture(scope="session")
async def pool(settings: Settings) -> AsyncGenerator[Database]:
    """The connections of this worker."""
    database = Database(settings)

    @event.listens_for(database.writer.sync_engine, "handle_error", retval=True)
    def refuse(context: ExceptionContext) -> Exception | None:
        """Raise `ReadOnlySessionError` for a savepoint too, as the reader does for a connection."""
        sqlstate = getattr(context.original_exception, "sqlstate", "")
        return ReadOnlySessionError() if sqlstate == "25006" else None

    yield database
    await database.dispose()


@pytest.fixture(scope="session")
def app_with(settings: Settings) -> Callable[..., FastAPI]:
    """Create an app with other settings, once for each set. Tests must not change it."""

    @cache
    def make_app(**changes: object) -> FastAPI:
        return create_app(settings.model_copy(update=changes))

    return make_app


@pytest.fixture(scope="session")
def app(app_with: Callable[..., FastAPI]) -> FastAPI:
    return app_with()


class RolledBackSession(Session):
    """A session on the connection of a test: its transactions are savepoints.

    Within a transaction it counts as holding a connection, so that a request that wants a second
    one fails the test.
    """


class RolledBackReadSession(RolledBackSession):
    """A session in which PostgreSQL refuses to write."""


@event.listens_for(RolledBackSession, "after_begin", propagate=True)
def _begin(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return
    if budget := current_budget():
        budget.require_no_connection("while another one is requested")
        budget.hold(session)
    if isinstance(session, RolledBackReadSession):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


@event.listens_for(RolledBackSession, "after_transaction_end", propagate=True)
def _end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None and (budget := current_budget()):
        budget.release(session)


class RolledBackDatabase(Database):
    """A database whose sessions share one connection and commit to a savepoint only."""

    def __init__(self, pool: Database, connection: AsyncConnection) -> None:
        # With the engines of the pool, because making others takes as long as a request.
        vars(self).update(vars(pool))
        options: dict[str, Any] = {
            "expire_on_commit": False,
            "close_resets_only": False,  # as in the app: use after the request is an error
            "join_transaction_mode": "create_savepoint",
        }
        self.write_sessions = async_sessionmaker(
            connection, class_=WriteSession, sync_session_class=RolledBackSession, **options
        )
        self.read_sessions = async_sessionmaker(
            connection, class_=ReadSession, sync_session_class=RolledBackReadSession, **options
        )
        self.search_sessions = self.read_sessions
        self.statement_sessions = self.write_sessions


@pytest.fixture
async def database(pool: Database) -> AsyncGenerator[Database]:
    async with pool.writer.connect() as connection, connection.begin() as transaction:
        yield RolledBackDatabase(pool, connection)
        await transaction.rollback()


@pytest.fixture
async def session(database: Database) -> AsyncGenerator[AsyncSession]:
    """A session to arrange and to check data. It sees what requests of the client wrote."""
    async with database.write_sessions() as session:
        yield session


@pytest.fixture
def make(session: AsyncSession) -> Factory:
    return Factory(session)


@pytest.fixture
def jobs(database: Database, settings: Settings) -> InlineJobs:
    """Runs what requests of the client have queued: `await jobs.run_all()`."""
    return InlineJobs(database, settings, make_kinds(settings))


@pytest.fixture
async def anonymous(
    app: FastAPI, database: Database, session: AsyncSession
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the app without credentials."""
    async with rolled_back_client(app, database, session) as client:
        yield client


@pytest.fixture
async def client(
    app: FastAPI, database: Database, session: AsyncSession, admin_headers: dict[str, str]
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the app that may do everything."""
    async with rolled_back_client(app, database, session, headers=admin_headers) as client:
        yield client


@pytest.fixture
async def live_database(pool: Database) -> AsyncGenerator[Database]:
    yield pool
    await empty_tables(pool)


async def empty_tables(database: Database) -> None:
    """Delete all rows that tests have committed, in every schema."""
    async with database.writer.begin() as connection:
        await connection.execute(_EMPTY)


@pytest.fixture
async def live_session(live_database: Database) -> AsyncGenerator[AsyncSession]:
    async with live_database.write_sessions() as session:
        yield session


@pytest.fixture
def make_live(live_session: AsyncSession) -> Factory:
    return Factory(live_session)


@pytest.fixture
async def live_client(
    app: FastAPI, live_database: Database, live_admin_headers: dict[str, str]
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client whose requests commit, each on a connection of its own."""
    app.state.database = live_database
    async with http_client(app, headers=live_admin_headers) as client:
        yield client


@pytest.fixture
def arrange(arrange_on: ArrangeOn, database: Database, make: Factory) -> Arrange:
    """Prepare the requests of endpoints."""
    return arrange_on(database, make)


@pytest.fixture
def arrange_live(arrange_on: ArrangeOn, live_database: Database, make_live: Factory) -> Arrange:
    """Prepare the requests of endpoints, which commit."""
    return arrange_on(live_database, make_live)


def rolled_back_client(
    app: FastAPI, database: Database, session: AsyncSession, **options: Any
) -> httpx.AsyncClient:
    """Return a client of an app that uses the rolled-back database of a test."""

    async def forget(_: httpx.Response) -> None:
        """Forget loaded rows, which the request may have changed."""
        session.expunge_all()

    app.state.database = database
    return http_client(app, event_hooks={"response": [forget]}, **options)


def http_client(
    app: FastAPI, *, raises: bool = True, address: str = "127.0.0.1", **options: Any
) -> httpx.AsyncClient:
    """Return a client at an IP address.

    Exceptions of the app propagate to the test, which then shows the traceback of a bug. With
    `raises=False` the client gets the response with status 500, as over a network.
    """

    async def run_jobs(_: httpx.Response) -> None:
        await run_after_response(app)

    hooks = options.pop("event_hooks", {"response": []})
    options["event_hooks"] = {"response": [run_jobs, *hooks["response"]]}
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises, client=(address, 12345))
    return httpx.AsyncClient(transport=transport, base_url="http://test", **options)
