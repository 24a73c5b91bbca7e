"""Commands that write code. `scaffold` does their work, which is not deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.commands import CommandError, commands

if TYPE_CHECKING:
    from types import ModuleType

Name = Annotated[str, typer.Argument(help="Its name in the singular, such as blog_post.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes, and make none.")]


def _work() -> ModuleType:
    """Return the module that does the work. Raises `CommandError` where it is not there."""
    try:
        from scaffold import commands as work
    except ModuleNotFoundError as error:
        if error.name != "scaffold":
            raise
        raise CommandError(
            "This command writes code, which takes a checkout of the project: the folder `scaffold` "
            "beside `app` is not deployed"
        ) from None
    return work


@commands.command("new")
def new_command(
    name: Name,
    fields: Annotated[
        list[str],
        typer.Argument(
            metavar="FIELD:TYPE...",
            help="Its fields, such as title:str:200 'price:decimal:10:2^' author:user.",
        ),
    ],
    *,
    plural: Annotated[
        str, typer.Option(help="Its plural, if it is not the usual one.", show_default=False)
    ] = "",
    dry_run: DryRun = False,
) -> None:
    """Write a new resource: model, schemas, SQL, rules, routes, tests and migration.

    Types: str:LENGTH, text, int, bigint, decimal:PRECISION:SCALE, float, bool, date, datetime, uuid,
    json, enum:ONE,OTHER; the name of a resource, with :cascade, :restrict or :set_null; many:RESOURCE.
    Marks, in quotes: ? may be null, ! is unique, ^ lists are sorted and filtered by it, =VALUE default.
    """
    for line in _work().new(name, fields, plural=plural, dry_run=dry_run):
        typer.echo(line)
