"""The asyncpg driver."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import asyncpg
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database.drivers import ConstraintViolation

errors: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def adapt_url(url: URL) -> URL:
    """Rename `sslmode` to `ssl`, which takes the same values. `connect_args` sets
    `application_name`.

    Channel binding and GSSAPI encryption occur in some providers' URLs, and asyncpg lacks them.
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
        # By default asyncpg keeps a timer for each statement in its cache, which are few (pings), and
        # with it the context of the request that was the first to execute it: for five minutes.
        "max_cached_statement_lifetime": 0,
        "server_settings": dict(parameters) | ({"application_name": name} if name else {}),
    }


def pooler_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Disable the statement caches of asyncpg and SQLAlchemy, unless PgBouncer supports them.

    Without a pooler that tracks them, a named statement may already exist on the next server
    connection, so every statement is unnamed. With one, names are unique: if the
    pooler does not track statements after all, they fail instead of running another process's.
    """
    arguments: dict[str, Any] = {"statement_cache_size": 0}
    if settings.database_pooler_prepares:
        return arguments | {"prepared_statement_name_func": lambda: f"__{uuid4()}__"}
    return arguments | {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}


def constraint_violation(error: BaseException | None) -> ConstraintViolation | None:
    """Return the violated constraint. SQLAlchemy wraps asyncpg's error, which is the cause."""
    cause = error.__cause__ if error else None
    if isinstance(cause, asyncpg.IntegrityConstraintViolationError) and cause.constraint_name:
        return ConstraintViolation(cause.constraint_name, cause.detail or "")
    return None


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE, which SQLAlchemy copies from asyncpg's error."""
    return getattr(error, "sqlstate", None) or ""


def seems_alive(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return whether the connection is open. The event loop notices when the server closes it."""
    return not connection.is_closed()


def abort(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Close the connection. Waiting coroutines get a `ConnectionDoesNotExistError`."""
    connection.terminate()
