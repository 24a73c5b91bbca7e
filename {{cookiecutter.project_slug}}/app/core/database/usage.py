"""What a request, job or block of code has used of the database, for logs and metrics."""

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext
from sqlalchemy.ext.asyncio import AsyncEngine

_logger: Final = logging.getLogger(__name__)

_LONGEST_TEXT: Final = 2000  # of a statement in a line of the log


@dataclass(slots=True)
class DatabaseUsage:
    """Counts since it was made current. `waited` is the time spent waiting for connections, in seconds."""

    statements: int = 0
    waited: float = 0


# Functions that are called after each statement, for traces, with its text, duration in seconds, error and
# server. They must not raise.
STATEMENT_OBSERVERS: Final[list[Callable[[str, float, BaseException | None, URL], None]]] = []

CURRENT_USAGE: Final[ContextVar[DatabaseUsage | None]] = ContextVar("database_usage", default=None)


def watch_statements(engine: AsyncEngine, slow: float) -> None:
    """Count an engine's statements, and log those that take longer than `slow` seconds (0: none).

    Parameters are not logged: they may be personal or secret. A listener runs the statement in place of
    SQLAlchemy, because a pair of events around it would cost more (docs/decisions/0010).
    """

    def run(call: Any, cursor: DBAPICursor, statement: str, parameters: Any, context: Any) -> None:
        usage: DatabaseUsage | None = CURRENT_USAGE.get()
        if usage:
            usage.statements += 1
        failure: BaseException | None = None
        began = time.perf_counter()
        try:
            call(cursor, statement, parameters, context)
        except BaseException as error:
            failure = error
            raise
        finally:
            seconds = time.perf_counter() - began
            for observe in STATEMENT_OBSERVERS:
                observe(statement, seconds, failure, engine.url)
            if slow and seconds > slow:
                _log_slow(statement, seconds)

    @event.listens_for(engine.sync_engine, "do_execute")
    def execute(
        cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext
    ) -> Literal[True]:
        run(context.dialect.do_execute, cursor, statement, parameters, context)
        return True

    @event.listens_for(engine.sync_engine, "do_executemany")
    def execute_many(
        cursor: DBAPICursor, statement: str, parameters: Any, context: ExecutionContext
    ) -> Literal[True]:
        run(context.dialect.do_executemany, cursor, statement, parameters, context)
        return True


def _log_slow(statement: str, seconds: float) -> None:
    text = " ".join(statement.split())
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}..."
    _logger.warning(
        "A statement took %d ms",
        seconds * 1000,
        extra={"statement": text, "duration_ms": round(seconds * 1000, 1)},
    )
