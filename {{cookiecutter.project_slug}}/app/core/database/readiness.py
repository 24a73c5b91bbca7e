"""Readiness: the database responds, and its schema fits the code."""

import asyncio
import logging
from typing import Final, Literal

from sqlalchemy import text

from app.core.config import DatabaseSettings
from app.core.database.budget import Budget, budgeted
from app.core.database.drivers import driver_for
from app.core.database.engines import make_engine
from app.core.database.migrations import revisions
from app.exceptions import UnavailableError, explain

SchemaState = Literal["at head", "ahead"]

_logger: Final = logging.getLogger(__name__)

_STATE: Final = text(
    "SELECT to_regclass('alembic_version')::text, current_setting('statement_timeout')"
)
_REVISION: Final = text("SELECT version_num FROM alembic_version")


class ReadinessProbe:
    """Checks the database on its own connections, so that a busy pool does not fail the check."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._engine = make_engine(settings.database_url, settings)
        self._driver = driver_for(settings.database_url)
        self._timeout = settings.readiness_timeout
        self._limits_unknown = settings.database_pooler

    async def check(self) -> SchemaState:
        """Return the state of the schema. Raises `UnavailableError`, at the latest at the timeout.

        A schema that is ahead is fine: a newer version of the app has migrated it, and this one
        keeps serving until it is replaced.
        """
        try:
            async with asyncio.timeout(self._timeout):
                current = await self._revision()
        except TimeoutError:
            raise UnavailableError("The database did not respond in time") from None
        except Exception as error:
            if not self._driver.is_connection_error(error):
                raise
            raise UnavailableError("The database cannot be reached") from error
        # In a thread, because the first call imports Alembic and reads files.
        *older, head = [None, *await asyncio.to_thread(revisions)]
        if current in older:
            raise UnavailableError(
                f"The schema is at revision {current}, the code needs {head}: run `app migrate`"
            )
        return "at head" if current == head else "ahead"

    async def report(self) -> None:
        """Log an error if the database is not ready. The service starts without it."""
        try:
            await self.check()
        except Exception as error:  # noqa: BLE001 - whatever it is, requests would meet it too
            _logger.error("The service starts, but is not ready: %s", explain(error))

    async def _revision(self) -> str | None:
        """Return the revision of the database, or None before the first migration."""
        # The budget closes the socket before the timeout cancels the task, which would hang
        # (see app.core.database.budget).
        budget = Budget(self._timeout * 0.9)
        with budgeted(budget):
            async with self._engine.connect() as connection:
                raw = await connection.get_raw_connection()
                budget.hold(self, (raw.driver_connection, self._driver))
                budget.hand_out()
                try:
                    table, statement_timeout = (await connection.execute(_STATE)).one()
                    self._warn_without_limits(statement_timeout)
                    return await connection.scalar(_REVISION) if table else None
                finally:
                    budget.release(self)

    def _warn_without_limits(self, statement_timeout: str) -> None:
        if self._limits_unknown and statement_timeout == "0":
            _logger.warning(
                "Statements have no time limit behind the pooler: run `app set-limits` once"
            )
        self._limits_unknown = False
