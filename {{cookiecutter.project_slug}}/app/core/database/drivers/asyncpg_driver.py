"""asyncpg: settings go as a mapping, errors carry the fields of the server's report."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database.drivers import ConstraintViolation


class _PooledConnection(asyncpg.Connection):
    async def set_type_codec(self, *arguments: Any, **options: Any) -> None:
        """Look the type up in a transaction.

        SQLAlchemy does so for each new connection, outside of one. asyncpg prepares and executes
        in two messages, which must meet the same server connection.
        """
        async with self.transaction():
            await super().set_type_codec(*arguments, **options)


def adapt_url(url: URL) -> URL:
    """`sslmode` is `ssl` here, with the same values; `connect_args` sees to the application's name.

    Channel binding and GSSAPI encryption, which some providers' URLs name, asyncpg does not have.
    """
    query = dict(url.query)
    for unknown in ("application_name", "channel_binding", "gssencmode"):
        query.pop(unknown, None)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return url.set(query=query)


def connect_args(
    url: URL, settings: DatabaseSettings, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Return the keyword arguments of `asyncpg.connect()`."""
    name = url.query.get("application_name")
    return {
        "timeout": min(settings.database_connect_timeout, settings.database_deadline),
        "server_settings": dict(parameters) | ({"application_name": name} if name else {}),
    }


def pooler_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Turn off asyncpg's cache of statements, and SQLAlchemy's, unless PgBouncer keeps statements.

    SQLAlchemy would still name its statements, and a name might be taken on the next server
    connection. The unnamed statement is for everyone to overwrite. Where statements are kept, no
    two processes use a name: if the pooler does not keep them after all, a statement fails, where
    the other process's might be executed.
    """
    arguments = {"connection_class": _PooledConnection, "statement_cache_size": 0}
    if settings.database_pooler_prepares:
        return arguments | {"prepared_statement_name_func": lambda: f"__{uuid4()}__"}
    return arguments | {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}


def constraint_violation(error: BaseException | None) -> ConstraintViolation | None:
    """SQLAlchemy wraps asyncpg's error in its own DBAPI class; the original is its cause."""
    cause = error.__cause__ if error else None
    if isinstance(cause, asyncpg.IntegrityConstraintViolationError) and cause.constraint_name:
        return ConstraintViolation(cause.constraint_name, cause.detail or "")
    return None


def sqlstate(error: BaseException | None) -> str:
    """SQLAlchemy copies the code of the cause."""
    return getattr(error, "sqlstate", None) or ""


def seems_alive(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """The event loop reads idle connections too, and so has noticed an end."""
    return not connection.is_closed()


def abort(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Waiting coroutines get a `ConnectionDoesNotExistError`."""
    connection.terminate()
