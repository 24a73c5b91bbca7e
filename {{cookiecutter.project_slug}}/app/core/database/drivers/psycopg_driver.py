"""The psycopg 3 driver."""

import asyncio
import math
import re
import selectors
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database.drivers import ConstraintViolation

# Unlike select(), poll() has no limit on file descriptors; Windows lacks it.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a selector loop, because psycopg cannot use the loop that is Windows' default."""
    return asyncio.SelectorEventLoop()


def is_connection_error(error: Exception) -> bool:
    """Return whether the error is an `OperationalError` or an `OSError`.

    An unknown argument is a `ProgrammingError`.
    """
    return isinstance(error, psycopg.OperationalError | OSError)


def check_url(url: URL) -> None:
    """Raise `ValueError` for a parameter that libpq does not know."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    if unknown := sorted(url.query.keys() - known):
        raise ValueError(f"psycopg does not support the parameter `{unknown[0]}`")


def adapt_url(url: URL) -> URL:
    """Return the URL without `options`. psycopg uses libpq's parameters."""
    return url.difference_update_query(["options"])


def connect_args(
    url: URL, settings: DatabaseSettings, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.AsyncConnection.connect()`.

    libpq takes whole seconds, two at least.
    """
    escaped = {name: re.sub(r"([\s\\])", r"\\\1", value) for name, value in parameters.items()}
    options = " ".join(f"-c {name}={value}" for name, value in escaped.items())
    timeout = math.ceil(min(settings.database_connect_timeout, settings.database_deadline))
    return {"connect_timeout": url.query.get("connect_timeout", timeout), "options": options}


def pooler_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Disable prepared statements, unless PgBouncer supports them."""
    return {} if settings.database_pooler_prepares else unprepared_args()


def unprepared_args() -> dict[str, Any]:
    """Disable prepared statements."""
    return {"prepare_threshold": None}


def constraint_violation(error: BaseException | None) -> ConstraintViolation | None:
    """Return the violated constraint, which the error's `diag` names."""
    if isinstance(error, psycopg.IntegrityError) and error.diag.constraint_name:
        return ConstraintViolation(error.diag.constraint_name, error.diag.message_detail or "")
    return None


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE, which psycopg sets to None for errors of libpq."""
    return getattr(error, "sqlstate", None) or ""


def refuses_value(error: BaseException) -> bool:
    """Return whether encoding a value failed. Errors of the server have a SQLSTATE."""
    return isinstance(error, UnicodeEncodeError) or (
        isinstance(error, psycopg.DataError) and not error.sqlstate
    )


def seems_alive(connection: psycopg.AsyncConnection[object]) -> bool:
    """Return whether the connection is open: an idle one is only readable when it is closing."""
    if connection.closed:
        return False
    with _Selector() as selector:
        selector.register(connection.pgconn.socket, selectors.EVENT_READ)
        return not selector.select(0)


def backend_pid(connection: psycopg.AsyncConnection[object]) -> int:
    """Return the process id that the server sent when the connection was opened."""
    return connection.info.backend_pid


def abort(connection: psycopg.AsyncConnection[object]) -> None:
    """Shut the socket down. Waiting coroutines get an `OperationalError`.

    `close()` would free libpq's connection while those coroutines still use it.
    """
    if connection.closed:
        return
    with suppress(OSError):  # the peer has reset it, which libpq notices only when it uses it
        borrowed = socket.socket(fileno=connection.pgconn.socket)
        try:
            borrowed.shutdown(socket.SHUT_RDWR)
        finally:
            borrowed.detach()  # libpq closes it
