"""The engines: for writing and for reading, connected directly or through PgBouncer."""

import asyncio
from typing import Any, Final

from sqlalchemy import URL, NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.core.config import DatabaseSettings
from app.core.database.budget import NO_CONTEXT, current_budget
from app.core.database.drivers import Driver, driver_for, server_options
from app.core.database.errors import translate_driver_errors
from app.core.database.pool import FairPool
from app.core.database.usage import watch_statements

# Longer than connections stay idle under load, and too short for a server to vanish unnoticed.
TRUSTED_SECONDS: Final = 0.1


def make_writer(settings: DatabaseSettings) -> AsyncEngine:
    """Return the engine for transactions on the primary."""
    return make_engine(
        settings.database_url,
        settings,
        pool_size=settings.database_pool_size,
        trusted_seconds=TRUSTED_SECONDS,
    )


def make_reader(
    url: URL, settings: DatabaseSettings, *, trusted_seconds: float, is_replica: bool = False
) -> AsyncEngine:
    """Return an engine on which PostgreSQL refuses writes.

    Each statement runs on its own (AUTOCOMMIT), which saves the round trips of BEGIN and COMMIT.
    Behind a pooler reads run in read-only transactions instead: PgBouncer does not accept the
    parameter, and may send the messages of one statement to different servers.
    """
    return make_engine(
        url,
        settings,
        read_only=True,
        pool_size=settings.database_read_pool_size,
        trusted_seconds=trusted_seconds,
        is_replica=is_replica,
    )


def make_searcher(
    url: URL, settings: DatabaseSettings, *, trusted_seconds: float, is_replica: bool = False
) -> AsyncEngine:
    """Return a reader for requests that search, which are slow at times.

    They have a small pool of their own, so that other reads need not wait for them. Statements are
    not prepared, because PostgreSQL may plan a prepared one once for all texts: the plan that finds
    a common word quickly reads the whole table for a rare one (see docs/decisions/0009).
    """
    return make_engine(
        url,
        settings,
        read_only=True,
        prepares=False,
        pool_size=settings.database_search_pool_size,
        trusted_seconds=trusted_seconds,
        is_replica=is_replica,
    )


def make_engine(
    url: URL,
    settings: DatabaseSettings,
    *,
    read_only: bool = False,
    prepares: bool = True,
    pool_size: int = 0,
    trusted_seconds: float = 0,
    is_replica: bool = False,
) -> AsyncEngine:
    """Return an engine that raises domain errors and counts against the current budget.

    It connects at the first statement. With a `pool_size` of 0 it has no pool. A connection that
    was in use less than `trusted_seconds` ago is not pinged, unless it is known to be closed. If a
    ping gets no response from a replica, no other connection is tried, because the primary can serve.
    """
    driver = driver_for(url)
    if read_only and url.query.get("target_session_attrs") == "read-write":
        # No server would match: the sessions of this engine are read-only by default.
        url = url.update_query_dict({"target_session_attrs": "primary"})
    options: dict[str, Any] = {"poolclass": NullPool}
    if pool_size:
        options = {
            "poolclass": _make_pool_class(driver, settings, trusted_seconds, is_replica=is_replica),
            "pool_size": pool_size,
            "pool_timeout": settings.database_pool_timeout,
        }
    parameters = server_options(url)
    if settings.database_pooler:
        # PgBouncer refuses connections with parameters that it does not know, so `app set-limits`
        # sets them in the database.
        connect_args = driver.connect_args(url, settings, parameters) | driver.pooler_args(settings)
        if read_only:
            options["execution_options"] = {"postgresql_readonly": True}
    else:
        parameters = server_limits(settings) | parameters
        if read_only:
            parameters["default_transaction_read_only"] = "on"
            options |= {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
        connect_args = driver.connect_args(url, settings, parameters)
    if not prepares:
        connect_args |= driver.unprepared_args()
    # hide_parameters: they may be secrets or personal data, which must not reach the logs.
    engine = create_async_engine(
        driver.adapt_url(url), connect_args=connect_args, hide_parameters=True, **options
    )
    translate_driver_errors(
        engine,
        driver,
        read_only=read_only,
        idle_timeout=settings.database_idle_in_transaction_timeout,
    )
    _limit_setup(engine, driver, settings.database_connect_timeout)
    watch_statements(engine, settings.database_slow_statement)
    return engine


def server_limits(settings: DatabaseSettings) -> dict[str, str]:
    """Return the server parameters that limit how long PostgreSQL works and waits."""
    seconds = {
        "statement_timeout": settings.database_statement_timeout,
        "lock_timeout": settings.database_lock_timeout,
        "idle_in_transaction_session_timeout": settings.database_idle_in_transaction_timeout,
    }
    return {name: f"{value * 1000:.0f}" for name, value in seconds.items()}


def _limit_setup(engine: AsyncEngine, driver: Driver, timeout: float) -> None:
    """Limit the time of SQLAlchemy's queries on a new connection.

    The driver's connect timeout does not cover them. Behind a pooler they wait for a server
    connection.
    """

    @event.listens_for(engine.sync_engine, "connect", insert=True)
    def start(connection: Any, record: ConnectionPoolEntry) -> None:
        held = connection.driver_connection
        loop = asyncio.get_running_loop()
        record.info["setup"] = loop.call_later(timeout, driver.abort, held, context=NO_CONTEXT)

    @event.listens_for(engine.sync_engine, "connect")
    def end(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info.pop("setup").cancel()
        if budget := current_budget():
            budget.end_setup()


def _make_pool_class(
    driver: Driver, settings: DatabaseSettings, trusted_seconds: float, *, is_replica: bool
) -> type[FairPool]:
    """Return a pool class that pings connections before use, unless they were just in use.

    SQLAlchemy's `pool_pre_ping` has no timeout, so a server that hangs would hang the request. It
    also pings under load, where the last statement has just shown that the connection works (see
    docs/decisions/0006 for the cost).
    """

    class TestingPool(FairPool):
        def is_alive(self, connection: PoolProxiedConnection, idle_seconds: float) -> bool:
            dbapi_connection: Any = connection.dbapi_connection
            driver_connection = dbapi_connection.driver_connection
            if idle_seconds < trusted_seconds and driver.seems_alive(driver_connection):
                return True
            if not settings.database_pool_pre_ping:
                return True
            is_silent = False

            def abort() -> None:
                nonlocal is_silent
                is_silent = True
                driver.abort(driver_connection)

            loop = asyncio.get_running_loop()
            timer = loop.call_later(settings.database_connect_timeout, abort, context=NO_CONTEXT)
            try:
                return self.dialect.do_ping(dbapi_connection)
            except (self.dialect.loaded_dbapi.Error, OSError) as error:
                if is_replica and is_silent:
                    self.give_up(error)
                return False
            finally:
                timer.cancel()

    TestingPool.driver = driver
    return TestingPool
