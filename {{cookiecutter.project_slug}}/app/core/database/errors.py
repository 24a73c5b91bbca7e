"""Translation of driver errors into domain errors."""

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
from app.exceptions import UnavailableError, ValidationError

UNREACHABLE: Final = "The database cannot be reached"

_READ_ONLY: Final = "25006"  # read_only_sql_transaction
_IDLE: Final = "25P03"

# SQLSTATEs (appendix A of PostgreSQL's documentation) after which the same request may succeed, with
# the kind and the message of the error.
_TRANSIENT: Final = {
    "40001": (
        "serialization",
        "The transaction conflicted with another (serialization failure); nothing was written",
    ),
    "40P01": (
        "deadlock",
        "The transaction conflicted with another (deadlock); nothing was written",
    ),
    "55P03": ("lock_timeout", "Another transaction holds a lock for too long; nothing was written"),
    "57014": ("statement_timeout", "The database took too long to respond; nothing was written"),
    _READ_ONLY: (
        "read_only",
        "The database does not accept writes at the moment; nothing was written",
    ),
    _IDLE: ("idle_timeout", "The transaction was idle for too long; nothing was written"),
    "53100": ("disk_full", "The database has no space left; nothing was written"),
    "53200": ("out_of_memory", "The database has no memory left; nothing was written"),
    "53300": ("too_many_connections", "The database has no free connections"),
    "57P01": ("shutdown", "The database is shutting down"),
    "57P02": ("crash", "The database has crashed and is recovering"),
    "57P03": ("starting", "The database is starting up"),
    "57P05": ("idle_timeout", "The database has closed an idle connection"),
}

# SQLSTATEs of values that the column or the encoding cannot hold.
_REFUSED_VALUE: Final = {"22001", "22003", "22021", "22P05"}

# Transactions and savepoints in which a statement has failed.
_failed: Final[WeakSet[Transaction]] = WeakSet()


class FailedTransactionError(RuntimeError):
    """A programming error: a statement failed, and its transaction was continued."""


class ReadOnlySessionError(RuntimeError):
    """A programming error: a handler of a safe method tried to write."""

    def __init__(self) -> None:
        super().__init__(
            "A read session cannot write. Safe HTTP methods get read sessions: change data in a "
            "POST, PUT, PATCH or DELETE route, or in database.transaction()."
        )


def translate_driver_errors(
    engine: AsyncEngine, driver: Driver, *, read_only: bool, idle_timeout: float
) -> None:
    """Make an engine raise domain errors: on connect, on statements and on commit.

    A refused write is a programming error on a `read_only` engine. On any other engine it is a
    fault of the database, which has become a standby. A transaction that is idle for
    `idle_timeout` seconds is ended by PostgreSQL.
    """

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(
        dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> DBAPIConnection:
        try:
            connection = dialect.connect(*arguments, **options)
        except asyncio.CancelledError as error:
            _close_half_open(error)
            raise
        except Exception as error:
            if not driver.is_connection_error(error):
                raise  # a bug or a wrong setting: trying again does not help
            _close_half_open(error)
            raise UnavailableError(UNREACHABLE, kind="unreachable") from error
        if budget := current_budget():
            budget.start_setup((connection.driver_connection, driver))
        return connection

    @event.listens_for(engine.sync_engine, "handle_error", retval=True)
    def translate(context: ExceptionContext) -> Exception | None:
        if context.connection and (transaction := _innermost(context.connection)):
            _failed.add(transaction)
        original = context.original_exception
        if not isinstance(original, Exception):
            return None  # a cancellation
        translated = _translated(original, driver, context, read_only=read_only)
        if translated is None and context.is_disconnect:
            return _loss(context, idle_timeout)
        return translated


def _close_half_open(error: BaseException) -> None:
    """Close the connection of a driver's `connect()` that was cancelled or failed half-way.

    The frames of the error may hold it in a reference cycle. Clearing them closes it now, not at
    the next garbage collection: until then it would occupy one of the server's connections. Reports of
    the error lack the local variables of these frames.
    """
    traceback.clear_frames(error.__traceback__)


def _translated(
    original: Exception, driver: Driver, context: ExceptionContext, *, read_only: bool
) -> Exception | None:
    """Return the error to raise instead of a driver's, or None to raise the driver's."""
    state = driver.sqlstate(original)
    if read_only and state == _READ_ONLY:
        return ReadOnlySessionError()
    violation = driver.constraint_violation(original)
    if violation and (error := domain_error(violation, context.statement or "")):
        return error
    if state in _REFUSED_VALUE or driver.refuses_value(original):
        return ValidationError("The request holds a value that the database cannot store")
    if state in _TRANSIENT:
        return _transient(state)
    if (budget := current_budget()) and budget.expired:
        context.invalidate_pool_on_disconnect = False  # the budget has closed this one only
        return UnavailableError(TOO_LONG, kind="deadline")
    return None


def _transient(state: str) -> UnavailableError:
    kind, message = _TRANSIENT[state]
    return UnavailableError(message, kind=kind)


def _loss(context: ExceptionContext, idle_timeout: float) -> UnavailableError:
    """Return the error of a lost connection. Drivers may drop the message of the server."""
    budget = current_budget()
    in_transaction = context.connection is not None and context.connection.in_transaction()
    if budget and in_transaction and budget.idle_seconds >= idle_timeout:
        return _transient(_IDLE)
    # It does not say that nothing was written: during COMMIT that is unknown.
    return UnavailableError("The connection to the database was lost", kind="connection_lost")


def _innermost(connection: Connection) -> Transaction | None:
    """Return the savepoint that a failed statement aborts, or else the transaction."""
    return connection.get_nested_transaction() or connection.get_transaction()


async def require_success(session: AsyncSession) -> None:
    """Raise `FailedTransactionError` if a statement of the session's transaction has failed.

    PostgreSQL responds to COMMIT with a silent rollback then, so the caller would believe that its
    writes were committed. Sends nothing to the database.
    """
    if not _failed:
        return
    _failed.difference_update([one for one in _failed if not one.is_active])
    if not _failed or not session.in_transaction():
        return
    connection = (await session.connection()).sync_connection
    if connection and _innermost(connection) in _failed:
        raise FailedTransactionError(
            "A statement of this transaction has failed, so PostgreSQL would roll it back. Let the "
            "error propagate, or run statements that may fail in session.begin_nested()."
        )
