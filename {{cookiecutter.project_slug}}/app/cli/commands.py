"""Shared by the modules of commands: the Typer app, the database, and registries.

Modules of commands import the service when a command runs, so that `app --help` is quick.
"""

from __future__ import annotations

import errno
import sys
from traceback import extract_tb
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from app import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import URL

    from app.core.database import Database

ResultT = TypeVar("ResultT")

commands: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Run and maintain the service."
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@commands.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    # Only for --help: `cli` removes the option before parsing, so it may stand anywhere.
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Run and maintain the service."""


# Defaults of settings for `app dev`. `{url}` stands for the URL of the service.
DEVELOPMENT_SETTINGS: Final[dict[str, str]] = {
    "DEVELOPMENT": "true",
    # A request that wants a second connection is a bug: fail instead of logging it.
    "DATABASE_SECOND_CONNECTION": "raise",
    "WORKER_IN_SERVICE": "true",
}

# What `app dev` does with the demo data on the embedded server. Each function returns what the
# terminal shows, by title.
DEVELOPMENT_STEPS: Final[list[Callable[[Database], Awaitable[dict[str, str]]]]] = []

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for a confirmation.")]

# SQLSTATEs of connections that are lost or refused: wrong credentials, a database that does not
# exist, a pooler, too many connections, a server that shuts down.
_UNUSABLE: Final = ("08", "28", "3D", "53", "57P")
_LOCK_NOT_AVAILABLE: Final = "55P03"


class CommandError(Exception):
    """A command failed. The message says what to do."""


def error_sentence(error: Exception) -> str:
    """Return the message of an error and of its causes, such as what the driver says."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    from app.core.database.migrations import MigrationError
    from app.core.env_file import ConfigurationError
    from app.exceptions import AppError, explain

    match error:
        case AppError() | CommandError() | ConfigurationError() | MigrationError():
            return explain(error)
        case OSError(filename=str()) | OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            return explain(error)  # of a file; the others are of connections
        case DBAPIError(orig=cause) if state := getattr(cause, "sqlstate", None):
            return _sentence_of_state(state, explain(error))
        case OSError() | InterfaceError() | OperationalError():
            return f"The database cannot be used: {explain(error)}"
        case DBAPIError():
            return f"The database refused a statement: {explain(error)}"
        case SyntaxError():  # its message names the place
            return f"{type(error).__name__}: {explain(error)}"
        case _:
            return f"{type(error).__name__}: {explain(error)}{_place(error)}"


def _sentence_of_state(state: str, explained: str) -> str:
    """Return the sentence for an error of the server. Drivers raise different classes for it."""
    if state.startswith(_UNUSABLE):
        return f"The database cannot be used: {explained}"
    refused = f"The database refused a statement: {explained}"
    if state == _LOCK_NOT_AVAILABLE:
        return f"{refused}. Another transaction holds the table; run it again"
    return refused


def _place(error: Exception) -> str:
    """Return the innermost line of the project where an error happened."""
    from app.core.env_file import PROJECT

    folders = tuple(str(PROJECT / name) for name in ("app", "alembic"))
    frames = [
        frame for frame in extract_tb(error.__traceback__) if frame.filename.startswith(folders)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def with_database(url: URL, work: Callable[[Database], Awaitable[ResultT]]) -> ResultT:
    """Call a coroutine function with a database, and close its connections afterwards."""
    from app.core.config import DatabaseSettings, load_settings
    from app.core.database import Database
    from app.core.database.drivers import run

    async def use() -> ResultT:
        database = Database(load_settings(DatabaseSettings, database_url=url))
        try:
            return await work(database)
        finally:
            await database.dispose()

    return run(url, use())


def confirm(question: str, *, yes: bool) -> None:
    """Ask a question, unless `yes`. Raises `typer.Abort` if the answer is no.

    Raises `CommandError` if stdin is closed.
    """
    if not yes:
        require_stdin("--yes")
        typer.confirm(question, abort=True)


def require_stdin(option: str) -> None:
    """Raise `CommandError` if nothing can be asked, because stdin is closed (`<&-`)."""
    if sys.stdin is None:
        raise CommandError(f"Nobody can be asked, because stdin is closed: use {option}")
