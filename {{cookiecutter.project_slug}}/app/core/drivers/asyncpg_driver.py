"""asyncpg: settings go as a mapping, errors carry the fields of the server's report."""

from typing import Any

import asyncpg

from app.core.config import DatabaseSettings
from app.core.drivers import ConstraintViolation, server_parameters


def connect_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Return the keyword arguments of `asyncpg.connect()`."""
    return {
        "timeout": settings.database_connect_timeout,
        "server_settings": server_parameters(settings),
    }


def constraint_violation(error: BaseException | None) -> ConstraintViolation | None:
    """SQLAlchemy wraps asyncpg's error in its own DBAPI class; the original is its cause."""
    cause = error.__cause__ if error else None
    if isinstance(cause, asyncpg.IntegrityConstraintViolationError) and cause.constraint_name:
        return ConstraintViolation(cause.constraint_name, cause.detail or "")
    return None


def sqlstate(error: BaseException | None) -> str:
    """SQLAlchemy copies the code of the cause."""
    return getattr(error, "sqlstate", None) or ""


def abort(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Waiting coroutines get a `ConnectionDoesNotExistError`."""
    connection.terminate()
