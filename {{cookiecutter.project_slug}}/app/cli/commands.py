"""Shared by the modules of commands: the Typer app, the database, and the settings of `app dev`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import typer
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database import Database

ResultT = TypeVar("ResultT")

commands: Final = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Run and maintain the service.",
)


# Defaults of settings for `app dev`. `{url}` stands for the URL of the service.
DEVELOPMENT_SETTINGS: Final[dict[str, str]] = {
    # A request that wants a second connection is a bug: fail instead of logging it.
    "DATABASE_SECOND_CONNECTION": "raise",
    "WORKER_IN_SERVICE": "true",
}


class CommandError(Exception):
    """A command failed. The message says what to do."""


def with_database(url: URL, work: Callable[[Database], Awaitable[ResultT]]) -> ResultT:
    """Run a coroutine function with a database, and close that afterwards."""

    async def run() -> ResultT:
        database = Database(DatabaseSettings(database_url=url))
        try:
            return await work(database)
        finally:
            await database.dispose()

    return asyncio.run(run())
