"""Readiness: the database responds, and its schema fits the code."""

import asyncio
import logging
from contextlib import suppress
from contextvars import Context
from typing import Final, Literal

from sqlalchemy import text

from app.core.config import DatabaseSettings
from app.core.database.budget import Budget, budgeted
from app.core.database.counted_sessions import ReadSession
from app.core.database.engines import make_engine
from app.core.database.migrations import revisions
from app.exceptions import UnavailableError, explain

SchemaState = Literal["at head", "ahead"]

_logger: Final = logging.getLogger(__name__)

# Anybody may ask as often as they like, but the database is asked only once in this interval.
_KEPT_SECONDS: Final = 1

_STATE: Final = text(
    "SELECT to_regclass('alembic_version')::text, current_setting('statement_timeout')"
)
_REVISION: Final = text("SELECT version_num FROM alembic_version")
# In a schema that the search_path names, with quotes or without. `current_schemas` leaves out those
# that the database role may not use, and a schema elsewhere is that of another service.
_IS_HIDDEN: Final = text(r"""
SELECT EXISTS (
    SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relname = 'alembic_version' AND NOT has_schema_privilege(relnamespace, 'USAGE')
    AND nspname IN (
        SELECT CASE named WHEN '$user' THEN current_user::text ELSE named END
        FROM regexp_matches(current_setting('search_path'), '"((?:[^"]|"")+)"|([^\s,"]+)', 'g') AS part,
            coalesce(replace(part[1], '""', '"'), lower(part[2])) AS named
    )
)
""")


class SchemaError(Exception):
    """The schema does not fit the code. The message, for the log only, names the revisions."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class ReadinessProbe:
    """Checks the database on one connection of its own, which it keeps.

    So a busy pool does not fail the check, and any number of clients share one query.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        # Always pinged, so that a connection that was lost meanwhile is replaced.
        settings = settings.model_copy(update={"database_pool_pre_ping": True})
        self._engine = make_engine(settings.database_url, settings, read_only=True, pool_size=1)
        self._timeout = settings.readiness_timeout
        self._limits_unknown = settings.database_pooler
        self._running: asyncio.Task[SchemaState] | None = None
        self._kept_until = 0.0

    async def check(self) -> SchemaState:
        """Return the state of the schema, as it was at most a second ago.

        Raises `UnavailableError`, at the latest at the timeout. A schema that is ahead is fine: a
        newer version of the app has migrated it, and this one keeps serving until it is replaced.
        """
        running = self._running
        if running is None or (
            running.done() and asyncio.get_running_loop().time() >= self._kept_until
        ):
            # In a context of its own, because it belongs to no request.
            self._running = running = asyncio.create_task(self._check_once(), context=Context())
            running.add_done_callback(_retrieve)
        return await asyncio.shield(running)  # others wait for it as well

    async def report(self) -> None:
        """Log an error if the database is not ready. The service starts without it."""
        try:
            await self.check()
        except Exception as error:  # noqa: BLE001 - whatever it is, requests would meet it too
            _logger.error("The service starts, but is not ready: %s", explain(error))

    async def dispose(self) -> None:
        """Close the connection, but give up on a server that hangs. The next check opens another."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                if self._running:  # ends at its own timeout
                    await asyncio.wait([self._running])
                await self._engine.dispose()
        self._running = None

    async def _check_once(self) -> SchemaState:
        try:
            return await self._state()
        finally:
            self._kept_until = asyncio.get_running_loop().time() + _KEPT_SECONDS

    async def _state(self) -> SchemaState:
        try:
            async with asyncio.timeout(self._timeout):
                current = await self._revision()
        except TimeoutError:
            raise UnavailableError(
                "The database did not respond in time", kind="deadline"
            ) from None
        # In a thread, because the first call imports Alembic and reads files.
        *older, head = [None, *await asyncio.to_thread(revisions)]
        if current in older:
            found = f"it is at revision {current}, and" if current else "no migration has run;"
            raise UnavailableError(
                "The schema is older than the code: run `app migrate`", kind="schema"
            ) from SchemaError(f"{found} the code needs {head}", "run `app migrate`")
        return "at head" if current == head else "ahead"

    async def _revision(self) -> str | None:
        """Return the revision of the database, or None before the first migration.

        Raises `UnavailableError` if the database role may not use the schema.
        """
        # The budget closes the socket before the timeout cancels the task, which would hang
        # (see app.core.database.budget).
        with budgeted(Budget(self._timeout * 0.9)):
            async with ReadSession(self._engine) as session:
                table, statement_timeout = (await session.execute(_STATE)).one()
                self._warn_without_limits(statement_timeout)
                revision: str | None = await session.scalar(_REVISION) if table else None
                if not table and await session.scalar(_IS_HIDDEN):
                    raise UnavailableError(
                        "The database role may not use the schema: run `app grant`", kind="schema"
                    ) from SchemaError("the database role may not use it", "run `app grant`")
                return revision

    def _warn_without_limits(self, statement_timeout: str) -> None:
        if self._limits_unknown and statement_timeout == "0":
            _logger.warning(
                "Statements have no time limit behind the pooler: run `app set-limits` once"
            )
        self._limits_unknown = False


def _retrieve(look: asyncio.Task[SchemaState]) -> None:
    """Keep asyncio from logging an error for which nobody waits any more."""
    if not look.cancelled():
        look.exception()
