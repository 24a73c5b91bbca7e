"""Shared by the commands that write code. Their work is done by `scaffold`, which is not deployed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import dev_server
from app.cli.commands import CommandError
from app.cli.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes without making them.")]


def scaffold_module(name: str) -> ModuleType:
    """Return a module of `scaffold`. Raises `CommandError` in a deployed service, which has none."""
    try:
        import_module("scaffold")
    except ModuleNotFoundError as error:
        if error.name != "scaffold":
            raise
        raise CommandError(
            "This command writes code and needs a checkout of the project: the folder `scaffold` "
            "beside `app` is not deployed"
        ) from None
    return import_module(f"scaffold.{name}")


def print_lines(lines: Iterable[str]) -> None:
    """Print what a command yields, as soon as it is known."""
    for line in lines:
        typer.echo(line)


def changing_project() -> AbstractContextManager[None]:
    """Be the only command that changes the code. Raises `CommandError` if another one is running.

    Two at once would each write the lists without the entry of the other, and a second head.
    """
    refusal = "Another `app` command is changing the project: wait until it has ended"
    return locked(dev_server.DIRECTORY / "changes", refusal)


def change_project(lines: Iterable[str], *, dry_run: bool) -> None:
    """Print what a command yields that changes files, as `changing_project` unless it is a dry run."""
    with nullcontext() if dry_run else changing_project():
        print_lines(lines)
