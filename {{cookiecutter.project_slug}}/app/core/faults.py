"""Faults of the database, turned into errors of the domain where the driver raises them."""

from typing import Any, Final

from sqlalchemy import Dialect, ExceptionContext, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.constraints import domain_error
from app.core.deadlines import note_failure, watch
from app.core.drivers import Driver
from app.exceptions import UnavailableError

# SQLSTATE (appendix A of PostgreSQL's documentation) of faults after which the same request may
# succeed. The first two are ends of a transaction: PostgreSQL has rolled it back.
_TRANSIENT: Final = {
    "40001": "The transaction met another one (serialization failure); nothing was written",
    "40P01": "The transaction met another one (deadlock); nothing was written",
    "55P03": "Another transaction holds a lock for too long; nothing was written",
    "57014": "The database took too long to answer; nothing was written",
    "25006": "The database accepts no writes at the moment; nothing was written",
    "25P03": "The transaction was idle for too long; nothing was written",
    "53100": "The database has no space left; nothing was written",
    "53200": "The database has no memory left; nothing was written",
    "53300": "The database has no connection left",
    "57P01": "The database is shutting down",
    "57P02": "The database has crashed and recovers",
    "57P03": "The database is starting up",
    "57P05": "The database has closed an idle connection",
}


def report_faults(engine: AsyncEngine, driver: Driver) -> None:
    """Let an engine raise domain errors: at connect, at any statement and at commit."""

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(
        dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> DBAPIConnection:
        try:
            return dialect.connect(*arguments, **options)
        except Exception as error:
            # Drivers raise OSError, TimeoutError and classes of their own here.
            raise UnavailableError("The database cannot be reached") from error

    @event.listens_for(engine.sync_engine, "handle_error")
    def translate(context: ExceptionContext) -> None:
        if context.is_pre_ping:
            return  # the pool replaces the connection, and nobody need know
        if context.connection:
            note_failure(context.connection)
        original = context.original_exception
        if not isinstance(original, Exception):
            return  # a cancellation is nobody's fault
        violation = driver.constraint_violation(original)
        error = domain_error(violation) if violation else None
        if error is None and (reason := _TRANSIENT.get(driver.sqlstate(original))):
            error = UnavailableError(reason)
        if error is None and context.is_disconnect:
            # In the middle of a COMMIT nobody can know, so it does not say what was written.
            error = UnavailableError("The connection to the database was lost")
        if error:
            raise error from original

    watch(engine, driver)
