"""Errors of the drivers, translated into errors of the domain where they are raised."""

import asyncio
import traceback
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import Connection, Dialect, ExceptionContext, Transaction, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.database.budget import TOO_LONG, current_budget
from app.core.database.constraints import domain_error
from app.core.database.drivers import Driver
from app.exceptions import UnavailableError

_READ_ONLY: Final = "25006"  # read_only_sql_transaction

# SQLSTATE (appendix A of PostgreSQL's documentation) of faults after which the same request may
# succeed. The first two are ends of a transaction: PostgreSQL has rolled it back.
_TRANSIENT: Final = {
    "40001": "The transaction met another one (serialization failure); nothing was written",
    "40P01": "The transaction met another one (deadlock); nothing was written",
    "55P03": "Another transaction holds a lock for too long; nothing was written",
    "57014": "The database took too long to answer; nothing was written",
    _READ_ONLY: "The database accepts no writes at the moment; nothing was written",
    "25P03": "The transaction was idle for too long; nothing was written",
    "53100": "The database has no space left; nothing was written",
    "53200": "The database has no memory left; nothing was written",
    "53300": "The database has no connection left",
    "57P01": "The database is shutting down",
    "57P02": "The database has crashed and recovers",
    "57P03": "The database is starting up",
    "57P05": "The database has closed an idle connection",
}

# The transactions, and savepoints, in which a statement has failed.
_failed: Final[WeakSet[Transaction]] = WeakSet()


class FailedTransactionError(RuntimeError):
    """A programming error: the error of a statement was caught, and its transaction went on."""


class ReadOnlySessionError(RuntimeError):
    """A programming error: code that serves a safe method tried to write."""

    def __init__(self) -> None:
        super().__init__(
            "A read session cannot write. Safe HTTP methods get read sessions: change data in a "
            "POST, PUT, PATCH or DELETE route, or in database.transaction()."
        )


def translate_driver_errors(engine: AsyncEngine, driver: Driver, *, read_only: bool) -> None:
    """Let an engine raise domain errors: at connect, at any statement and at commit.

    A write on an engine that is `read_only` is an error of the code, on another one a fault of the
    database: it is a standby, or was made one.
    """

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(
        dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> DBAPIConnection:
        try:
            return dialect.connect(*arguments, **options)
        except asyncio.CancelledError as error:
            # A half-open connection may live in these frames, and they in a cycle: without
            # this the server keeps the session until garbage is collected, which is seldom.
            traceback.clear_frames(error.__traceback__)
            raise
        except Exception as error:
            # Drivers raise OSError, TimeoutError and classes of their own here.
            raise UnavailableError("The database cannot be reached") from error

    @event.listens_for(engine.sync_engine, "handle_error", retval=True)
    def translate(context: ExceptionContext) -> Exception | None:
        budget = current_budget()
        if context.connection and (transaction := _innermost(context.connection)):
            _failed.add(transaction)
        original = context.original_exception
        if not isinstance(original, Exception):
            return None  # a cancellation is nobody's fault
        violation = driver.constraint_violation(original)
        error: Exception | None = domain_error(violation) if violation else None
        state = driver.sqlstate(original)
        if read_only and state == _READ_ONLY:
            error = ReadOnlySessionError()
        elif error is None and (reason := _TRANSIENT.get(state)):
            error = UnavailableError(reason)
        elif error is None and budget and budget.expired:
            error = UnavailableError(TOO_LONG)
        elif error is None and context.is_disconnect:
            # In the middle of a COMMIT nobody can know, so it does not say what was written.
            error = UnavailableError("The connection to the database was lost")
        return error


def _innermost(connection: Connection) -> Transaction | None:
    """Return the savepoint that a failure ends, or else the transaction."""
    return connection.get_nested_transaction() or connection.get_transaction()


async def require_success(session: AsyncSession) -> None:
    """Raise `FailedTransactionError` if a statement of the session's transaction has failed.

    PostgreSQL would roll back at the commit and report no error, so that whoever has caught the
    statement's error would believe in it. Where no failed transaction goes on, this asks nothing.
    """
    if not _failed:
        return
    _failed.difference_update([one for one in _failed if not one.is_active])
    if not _failed or not session.in_transaction():
        return
    connection = (await session.connection()).sync_connection
    if connection and _innermost(connection) in _failed:
        raise FailedTransactionError(
            "A statement of this transaction has failed, after which PostgreSQL writes nothing of "
            "it. Let the error pass, or run what may fail in session.begin_nested()."
        )
