"""Shared by the modules of commands: the Typer app, the database, and two registries."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import typer
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database import Database
from app.core.database.drivers import run
from app.services.idempotency_service import IdempotencyService

ResultT = TypeVar("ResultT")

commands: Final = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Run and maintain the service.",
)


async def _prune_idempotency_keys(database: Database) -> int:
    async with database.transaction() as session:
        return await IdempotencyService(session, database.settings).prune()


# What `app prune` deletes. Each function deletes expired rows and returns their number.
PRUNERS: Final[dict[str, Callable[[Database], Awaitable[int]]]] = {
    "idempotency keys": _prune_idempotency_keys
}

# Defaults of settings for `app dev`. `{url}` stands for the URL of the service.
DEVELOPMENT_SETTINGS: Final[dict[str, str]] = {
    # A request that wants a second connection is a bug: fail instead of logging it.
    "DATABASE_SECOND_CONNECTION": "raise"
}


class CommandError(Exception):
    """A command failed. The message says what to do."""


def with_database(url: URL, work: Callable[[Database], Awaitable[ResultT]]) -> ResultT:
    """Run a coroutine function with a database, and close that afterwards."""

    async def use() -> ResultT:
        database = Database(DatabaseSettings(database_url=url))
        try:
            return await work(database)
        finally:
            await database.dispose()

    return run(url, use())


async def prune(database: Database) -> dict[str, int]:
    """Delete expired rows, and return the number of each kind."""
    return {kind: await delete(database) for kind, delete in PRUNERS.items()}
