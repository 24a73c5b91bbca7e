"""Commands that write the code of resources and migrations."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from app.cli.commands import CommandError, Yes, commands, confirm
from app.cli.dev_server import database_url, uses_embedded_server
from app.cli.scaffolding import DryRun, change_project, changing_project, scaffold_module

Name = Annotated[str, typer.Argument(help="Its name in the singular, such as book_shelf.")]


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

    Types: str:LENGTH, text, int, bigint, decimal:PRECISION:SCALE, float, bool, date, datetime, uuid, json, enum:ONE,OTHER.

    References: the name of a resource, as in author:user, with :cascade, :restrict or :set_null; many:RESOURCE.

    Marks, for which the field needs quotes: ? may be null, ! is unique, ^ lets callers filter lists by it and, if its type has an order, sort them, =VALUE is the default.

    docs/howto/resources.md says more.
    """
    new = scaffold_module("commands").new
    change_project(new(name, fields, plural=plural, dry_run=dry_run), dry_run=dry_run)


@commands.command("remove")
def remove_command(
    name: Name,
    *,
    drop_table: Annotated[
        bool, typer.Option("--drop-table", help="Drop its table in DATABASE_URL, with all rows.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a resource that `app new` wrote and nobody has edited, or the demo: `app remove post`."""
    remove, ask = scaffold_module("commands").remove, partial(confirm, yes=yes)
    lines = remove(name, drop_table=drop_table, dry_run=dry_run, confirm=ask)
    change_project(lines, dry_run=dry_run)


@commands.command("rename")
def rename_command(
    old: Annotated[str, typer.Argument(help="Its name in the singular.")],
    new: Annotated[
        str, typer.Argument(help="Its new name in the singular: one word, if the old one is.")
    ],
    *,
    plural: Annotated[
        str, typer.Option(help="Its new plural, if it is not the usual one.", show_default=False)
    ] = "",
    dry_run: DryRun = False,
) -> None:
    """Give a resource of `app new` another name, or the demo: `app rename post article`."""
    rename = scaffold_module("commands").rename
    change_project(rename(old, new, plural=plural, dry_run=dry_run), dry_run=dry_run)


@commands.command("revision")
def revision_command(
    message: Annotated[str, typer.Option("--message", "-m", help="What it does.")],
    *,
    empty: Annotated[
        bool, typer.Option("--empty", help="Write an empty migration, for changes of data.")
    ] = False,
) -> None:
    """Write a migration for the differences between the models and the database."""
    from app.core.database.migrations import migrate, write_revision

    if not any(map(str.isalnum, message)):  # it names the file
        raise CommandError(
            f'{message!r} does not say what the migration does: name it, such as "add a column"'
        )
    with changing_project(), database_url() as url:
        if uses_embedded_server():
            migrate(url)
        path = write_revision(url, message, empty=empty)
    if path is None:
        typer.echo(
            "The database matches the models, so no migration was written. Server defaults, CHECK "
            "constraints and the labels of enum types are not compared."
        )
    else:
        typer.echo(f"Wrote {path}.\nReview it, then run `uv run app migrate`.")
