"""psycopg 3: settings go as libpq options, errors carry a `Diagnostic`."""

import math
import os
import selectors
import socket
from collections.abc import Generator, Mapping
from typing import Any

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus, TransactionStatus
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database.drivers import ConstraintViolation

# Where there is poll(), it has no limit on file descriptors.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class _PooledConnection(psycopg.AsyncConnection[Any]):
    with_begin = ""

    def _start_query(self) -> Generator[Any, Any, None]:
        """Begin a transaction where psycopg does, which has no documented hook for it."""
        if self.autocommit or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return
        if self._pipeline:  # of an `executemany`, where each command is one statement
            yield from super()._start_query()
            for statement in self.with_begin.split("; ") if self.with_begin else ():
                yield from self._exec_command(statement)
            return
        begin = self._get_tx_start_command()
        self.pgconn.send_query(b"%b; %b" % (begin, self.with_begin.encode()))
        for result in (yield from generators.execute(self.pgconn)):
            if result.status != ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(result, encoding=self.info.encoding)


def adapt_url(url: URL) -> URL:
    """psycopg is built on libpq, and its words are the same."""
    return url


def connect_args(settings: DatabaseSettings, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.AsyncConnection.connect()`.

    libpq takes whole seconds, and raises a timeout of one second to two.
    """
    options = " ".join(f"-c {name}={value}" for name, value in parameters.items())
    return {"connect_timeout": math.ceil(settings.database_connect_timeout), "options": options}


def pooler_args(_settings: DatabaseSettings) -> dict[str, Any]:
    """Never prepare a statement, however often it is executed."""
    return {"async_creator_fn": _PooledConnection.connect, "prepare_threshold": None}


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
