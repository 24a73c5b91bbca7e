"""Whether requests can be served: the database answers, and has the schema that the code needs."""

import asyncio
from typing import Literal

from sqlalchemy import NullPool, text

from app.core.config import DatabaseSettings
from app.core.database.deadline import deadline
from app.core.database.engines import make_engine
from app.core.database.migrations import revisions
from app.exceptions import UnavailableError

Schema = Literal["at head", "ahead"]


class ReadinessProbe:
    """Asks the database on connections of its own: a full pool must not look like a fault."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._engine = make_engine(settings.database_url, settings, poolclass=NullPool)
        self._timeout = settings.readiness_timeout

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
        # The socket is shut a little before the task is cancelled: see app.core.database.deadline.
        async with deadline(self._timeout * 0.9), self._engine.connect() as connection:
            table = await connection.scalar(text("SELECT to_regclass('alembic_version')::text"))
            if table is None:
                return None
            current: str | None = await connection.scalar(
                text("SELECT version_num FROM alembic_version")
            )
            return current
