"""What the modules of commands share: the Typer object, the database, and two registries."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import typer
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database import Database
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


# What `app prune` deletes when it has expired: each function returns how many rows it deleted.
PRUNERS: Final[dict[str, Callable[[Database], Awaitable[int]]]] = {
    "idempotency keys": _prune_idempotency_keys
}

# Settings that `app dev` makes up where they are not set. `{url}` is the URL of the service.
DEVELOPMENT_SETTINGS: Final[dict[str, str]] = {}


class CommandError(Exception):
    """A command cannot go on; the message says what to do."""


def with_database(url: URL, work: Callable[[Database], Awaitable[ResultT]]) -> ResultT:
    """Run a coroutine function with a database that is open for just as long."""

    async def run() -> ResultT:
        database = Database(DatabaseSettings(database_url=url))
        try:
            return await work(database)
        finally:
            await database.dispose()

    return asyncio.run(run())


async def prune(database: Database) -> dict[str, int]:
    """Delete what has expired, and return how many there were of each kind."""
    return {kind: await delete(database) for kind, delete in PRUNERS.items()}
