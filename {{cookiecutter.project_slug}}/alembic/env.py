"""Runs migrations, in one process at a time, on an async connection."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import typer
from alembic import context
from alembic.util import CommandError as AlembicError
from sqlalchemy import URL, Connection, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.commands import error_sentence
from app.cli.dev_server import database_url
from app.core.config import DatabaseSettings, load_settings
from app.core.database.autogenerate import autogenerate_options
from app.core.database.drivers import run
from app.core.database.migrations import (
    PARAMETERS,
    UnknownRevisionError,
    make_migration_engine,
    revisions,
    script_directory,
)
from app.core.observability.logs import configure_logging

# The key of an advisory lock. It must differ from other keys of the project.
MIGRATION_LOCK: Final = 7_244_106_193


def run_offline() -> None:
    """Print the SQL instead of running it: `alembic upgrade head --sql`.

    The connection that runs the SQL has no lock timeout of its own. It is set again after each
    revision, because one may RESET it.
    """
    from app.models import Base

    lock_timeout = f"SET lock_timeout = '{PARAMETERS['lock_timeout']}'"
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
        on_version_apply=lambda **_: context.execute(lock_timeout),
    )
    with context.begin_transaction():
        context.execute(lock_timeout)
        context.run_migrations()


def run_migrations(connection: Connection) -> None:
    # Imported here, so that a mistake in a model is printed as a sentence, without a traceback.
    from app.models import Base

    # A transaction per revision, so that table locks are not held until the last revision.
    context.configure(
        connection=connection,
        transaction_per_migration=True,
        **autogenerate_options(Base.metadata),
    )
    try:
        with context.begin_transaction():
            context.run_migrations()
    except AlembicError:
        for revision in context.get_context().get_current_heads():
            if revision not in revisions():
                raise UnknownRevisionError(revision) from None
        raise
    except KeyError:  # raised by Alembic if a file is missing, or by a migration itself
        script_directory()
        raise


@asynccontextmanager
async def migration_lock(engine: AsyncEngine) -> AsyncGenerator[None]:
    """Hold a lock that lets only one process migrate the database, waiting for it if need be.

    The lock belongs to a transaction on a connection of its own, which leaves the migrations free to
    commit. It polls, because a statement that waits in PostgreSQL holds a snapshot, and CREATE INDEX
    CONCURRENTLY in the other process would wait for that. So would an idle transaction, unless it is
    READ COMMITTED.
    """
    lock = select(func.pg_try_advisory_xact_lock(MIGRATION_LOCK))
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="READ COMMITTED")
        is_waiting = False
        while not await connection.scalar(lock):
            if not is_waiting:
                typer.echo("Waiting for another process, which migrates this database", err=True)
            is_waiting = True
            await connection.rollback()
            await asyncio.sleep(0.1)
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield


async def run_online(url: URL) -> None:
    engine = make_migration_engine(load_settings(DatabaseSettings, database_url=url))
    async with migration_lock(engine), engine.connect() as connection:
        await connection.run_sync(run_migrations)
    await engine.dispose()


if context.is_offline_mode():
    run_offline()
elif given := context.config.attributes.get("database_url"):  # by app.core.database.migrations
    run(given, run_online(given))
else:  # the alembic command line, on the same database as the commands of `app`
    try:
        configure_logging("stderr")
        with database_url() as url:
            run(url, run_online(url))
    except AlembicError:
        raise  # Alembic itself prints its message alone
    except Exception as error:
        if context.get_x_argument(as_dictionary=True).get("traceback"):
            raise
        sys.exit(
            f"Error: {error_sentence(error)}\n`alembic -x traceback=1 ...` shows the traceback."
        )
