"""Running migrations from Python.

Functions import Alembic when they need it, because it is slow to import (see docs/decisions/0006).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.config import ConfigurationError, DatabaseSettings
from app.core.database.drivers import driver_for, server_options
from app.core.env_file import PROJECT

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.operations.ops import MigrationScript
    from alembic.script import ScriptDirectory

# While a migration waits for a lock on a table, every query of that table queues behind it. Limits of
# statements and idle transactions are turned off, even where the database sets them.
PARAMETERS: Final = {
    "lock_timeout": "3s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# Not a parameter to connect with, because PostgreSQL before 17 would refuse it.
_NO_TRANSACTION_TIMEOUT: Final = (
    "SELECT set_config('transaction_timeout', '0', false)"
    " WHERE current_setting('transaction_timeout', true) IS NOT NULL"
)


class MigrationError(Exception):
    """Alembic cannot migrate, for example because there are two heads. The message says why."""


class RevisionsError(MigrationError):
    """The files in alembic/versions do not follow each other."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy[0].upper()}{remedy[1:]}")
        self.problem = problem
        self.remedy = remedy


class UnknownRevisionError(MigrationError):
    """The database is at a revision that this version of the project does not have."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database is at revision {revision!r}, which is not in alembic/versions: another "
            "branch or a newer version has migrated it. Check that out and run "
            "`uv run alembic downgrade` to a revision that both have"
        )


def make_migration_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Return an engine without a pool for `DATABASE_DIRECT_URL`, or else `DATABASE_URL`.

    Raises `ConfigurationError` if that is a pooler: a SET of a migration would stay on the server
    connection, which other clients use next.
    """
    if settings.database_pooler and not settings.database_direct_url:
        raise ConfigurationError(
            "DATABASE_DIRECT_URL: not set, but DATABASE_POOLER is on. Migrations need the address of "
            "PostgreSQL itself"
        )
    url = settings.database_direct_url or settings.database_url
    driver = driver_for(url)
    parameters = server_options(url)
    if settings.database_direct_url:
        parameters = PARAMETERS | parameters  # that URL is for migrations only
    else:
        parameters |= PARAMETERS
    engine = create_async_engine(
        driver.adapt_url(url),
        connect_args=driver.connect_args(url, settings, parameters),
        poolclass=NullPool,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def disable_transaction_timeout(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(_NO_TRANSACTION_TIMEOUT)
        cursor.close()
        connection.commit()

    return engine


def _config(project: Path) -> Config:
    from alembic.config import Config

    return Config(toml_file=project / "pyproject.toml")


def alembic_config(database_url: URL) -> Config:
    """Return Alembic's configuration for a database. Its settings are in pyproject.toml."""
    config = _config(PROJECT)
    config.attributes["database_url"] = database_url
    return config


def migrate(database_url: URL) -> None:
    """Migrate the database to the newest revision. Raises `MigrationError`."""
    from alembic import command
    from alembic.util import CommandError

    newest_revision()
    try:
        command.upgrade(alembic_config(database_url), "head")
    except CommandError as error:
        raise MigrationError(str(error)) from None


def write_revision(database_url: URL, message: str, *, empty: bool = False) -> Path | None:
    """Write a revision for the differences between models and database, and return its file.

    Returns None if they do not differ, unless the revision is to be `empty`. Raises
    `MigrationError`, for example if the database is not at the newest revision.
    """
    from alembic import command
    from alembic.script import Script
    from alembic.util import CommandError

    newest_revision()
    differences: list[bool] = []

    def note(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
        differences.extend(
            not (operations is None or operations.is_empty())
            for operations in (script.upgrade_ops for script in directives)
        )

    try:
        script = command.revision(
            alembic_config(database_url),
            message,
            autogenerate=not empty,
            process_revision_directives=note,
        )
    except CommandError as error:
        if "not up to date" in str(error):
            raise MigrationError(
                "The database is not at the newest revision: run `uv run app migrate` first"
            ) from None
        raise MigrationError(str(error)) from None
    if not isinstance(script, Script):
        return None
    path = Path(script.path)
    if not empty and not any(differences):
        path.unlink()
        return None
    return path


def script_directory(project: Path | None = None) -> ScriptDirectory:
    """Return the files in alembic/versions. Raises `RevisionsError` if one of them is missing."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config(project or PROJECT))
    try:
        scripts.get_heads()  # reads the files
    except KeyError as error:
        raise RevisionsError(
            f"A migration comes after the revision {error}, whose file is missing in alembic/versions",
            "restore that one, or change `down_revision`",
        ) from error
    return scripts


def newest_revision(project: Path | None = None) -> str:
    """Return the newest revision. Raises `RevisionsError` if there are several, or a file is missing."""
    heads = script_directory(project).get_heads()
    if len(heads) != 1:
        raise RevisionsError(
            f"There are several newest revisions: {', '.join(heads)}",
            "join them by `uv run alembic merge heads`",
        )
    return heads[0]


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions of this version of the app, oldest first."""
    return tuple(script.revision for script in script_directory().walk_revisions())[::-1]
