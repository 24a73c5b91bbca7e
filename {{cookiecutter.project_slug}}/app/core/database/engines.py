"""How this project connects: with limits to each wait, directly or by PgBouncer."""

import asyncio
import time
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.config import DatabaseSettings
from app.core.database.drivers import Driver, driver_for
from app.core.database.errors import translate_driver_errors


def make_engine(
    url: URL, settings: DatabaseSettings, *, trusted_seconds: float = 0, **options: Any
) -> AsyncEngine:
    """Return an engine that raises `UnavailableError` for faults of the database.

    It connects to `url`, not before the first statement. A connection that was in use less than
    `trusted_seconds` ago, and is not known to be closed, does without the ping of a pool that
    pings. `options` are those of SQLAlchemy.
    """
    driver = driver_for(url)
    # Parameters may be secrets or personal data: they stay out of messages and logs.
    engine = make_plain_engine(url, settings, _limits(settings), hide_parameters=True, **options)
    _bound_pings(engine, driver, settings.database_connect_timeout, trusted_seconds)
    translate_driver_errors(engine, driver)
    return engine


def make_plain_engine(
    url: URL, settings: DatabaseSettings, parameters: dict[str, str], **options: Any
) -> AsyncEngine:
    """Return an engine that sets parameters of PostgreSQL, directly or by a pooler."""
    driver = driver_for(url)
    url = driver.adapt_url(url)
    if not settings.database_pooler:
        return create_async_engine(
            url, connect_args=driver.connect_args(settings, parameters), **options
        )
    # PgBouncer refuses connections that name a parameter which it does not know.
    connect_args = driver.connect_args(settings, {}) | driver.pooler_args(settings)
    engine = create_async_engine(url, connect_args=connect_args, **options)
    limits = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in parameters.items())

    @event.listens_for(engine.sync_engine, "connect")
    def set_in_each_transaction(connection: Any, _record: object) -> None:
        # A plain SET would outlive the transaction, and hold for whoever gets the server next.
        connection.driver_connection.with_begin = limits

    return engine


def _limits(settings: DatabaseSettings) -> dict[str, str]:
    """Return the parameters of PostgreSQL that bound how long it works and waits."""
    seconds = {
        "statement_timeout": settings.database_statement_timeout,
        "lock_timeout": settings.database_lock_timeout,
        "idle_in_transaction_session_timeout": settings.database_idle_in_transaction_timeout,
    }
    return {name: f"{value * 1000:.0f}" for name, value in seconds.items()}


def _bound_pings(
    engine: AsyncEngine, driver: Driver, seconds: float, trusted_seconds: float
) -> None:
    """Let the pool's ping fail when it takes too long, and leave out those that show nothing.

    SQLAlchemy sets it no limit, and pings before the deadline of the request knows of the
    connection: with a server that hangs, the request would hang as well. And under load a ping
    asks what an answer has just shown, for a fifth of a small request's time (measured).
    """
    dialect = engine.sync_engine.dialect
    ping = dialect.do_ping
    returned_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    @event.listens_for(engine.sync_engine, "checkin")
    def note(connection: Any, _record: object) -> None:
        if connection is not None:  # not one that was invalidated
            returned_at[connection.driver_connection] = time.monotonic()

    def bounded_ping(connection: Any) -> bool:
        driver_connection = connection.driver_connection
        idle_seconds = time.monotonic() - returned_at.get(driver_connection, 0)
        if idle_seconds < trusted_seconds and driver.seems_alive(driver_connection):
            return True
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, driver.abort, driver_connection)
        try:
            return ping(connection)
        finally:
            timer.cancel()

    dialect.do_ping = bounded_ping  # type: ignore[assignment, method-assign]
