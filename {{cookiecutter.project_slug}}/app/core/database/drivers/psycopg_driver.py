"""psycopg 3: settings go as libpq options, errors carry a `Diagnostic`."""

import math
import os
import selectors
import socket
from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database.drivers import ConstraintViolation

# Where there is poll(), it has no limit on file descriptors.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def adapt_url(url: URL) -> URL:
    """psycopg is built on libpq, and its words are the same."""
    return url


def connect_args(
    _url: URL, settings: DatabaseSettings, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.AsyncConnection.connect()`.

    libpq takes whole seconds, and raises a timeout of one second to two.
    """
    options = " ".join(f"-c {name}={value}" for name, value in parameters.items())
    timeout = min(settings.database_connect_timeout, settings.database_deadline)
    return {"connect_timeout": math.ceil(timeout), "options": options}


def pooler_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Never prepare a statement, however often it is executed, unless PgBouncer keeps statements."""
    return {} if settings.database_pooler_prepares else {"prepare_threshold": None}


def constraint_violation(error: BaseException | None) -> ConstraintViolation | None:
    """The report of the server is the error's `diag`."""
    if isinstance(error, psycopg.IntegrityError) and error.diag.constraint_name:
        return ConstraintViolation(error.diag.constraint_name, error.diag.message_detail or "")
    return None


def sqlstate(error: BaseException | None) -> str:
    """None in psycopg means that libpq, not the server, reports the error."""
    return getattr(error, "sqlstate", None) or ""


def seems_alive(connection: psycopg.AsyncConnection[object]) -> bool:
    """An idle connection has nothing to read but the end of the stream, or what announces it."""
    if connection.closed:
        return False
    with _Selector() as selector:
        selector.register(connection.pgconn.socket, selectors.EVENT_READ)
        return not selector.select(0)


def abort(connection: psycopg.AsyncConnection[object]) -> None:
    """Waiting coroutines see the end of the stream and raise an `OperationalError`.

    `close()` would free libpq's connection under their feet, so the socket is shut beneath it.
    """
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
