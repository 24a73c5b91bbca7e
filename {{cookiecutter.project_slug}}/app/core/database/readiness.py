"""Whether requests can be served: the database answers, and has the schema that the code needs."""

import asyncio
import logging
from typing import Final, Literal

from sqlalchemy import text

from app.core.config import DatabaseSettings
from app.core.database.budget import Budget, budgeted
from app.core.database.drivers import driver_for
from app.core.database.engines import make_engine
from app.core.database.migrations import revisions
from app.exceptions import UnavailableError

Schema = Literal["at head", "ahead"]

_logger: Final = logging.getLogger(__name__)

_STATE: Final = text(
    "SELECT to_regclass('alembic_version')::text, current_setting('statement_timeout')"
)
_REVISION: Final = text("SELECT version_num FROM alembic_version")


class ReadinessProbe:
    """Asks the database on connections of its own: a full pool must not look like a fault."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._engine = make_engine(settings.database_url, settings)
        self._driver = driver_for(settings.database_url)
        self._timeout = settings.readiness_timeout
        self._limits_unknown = settings.database_pooler

    async def check(self) -> Schema:
        """Return where the schema stands. Raises `UnavailableError` at the timeout at the latest.

        A schema that is ahead is no fault: a newer version has migrated already, and this one
        goes on serving until it is replaced.
        """
        try:
            async with asyncio.timeout(self._timeout):
                current = await self._revision()
        except TimeoutError:
            raise UnavailableError("The database does not answer in time") from None
        # A thread, since the first call imports Alembic and reads files.
        *older, head = [None, *await asyncio.to_thread(revisions)]
        if current in older:
            raise UnavailableError(
                f"The schema is at revision {current}, the code needs {head}: run `app migrate`"
            )
        return "at head" if current == head else "ahead"

    async def _revision(self) -> str | None:
        """Return the revision that the database is at, or None before the first migration."""
        # The socket is shut a little before the task is cancelled: see app.core.database.budget.
        budget = Budget(self._timeout * 0.9)
        with budgeted(budget):
            async with self._engine.connect() as connection:
                raw = await connection.get_raw_connection()
                budget.take(self, (raw.driver_connection, self._driver))
                budget.hand_out()
                try:
                    table, statement_timeout = (await connection.execute(_STATE)).one()
                    self._warn_without_limits(statement_timeout)
                    return await connection.scalar(_REVISION) if table else None
                finally:
                    budget.give_back(self)

    def _warn_without_limits(self, statement_timeout: str) -> None:
        if self._limits_unknown and statement_timeout == "0":
            _logger.warning(
                "Behind the pooler a statement may run for ever: run `app set-limits` once"
            )
        self._limits_unknown = False
