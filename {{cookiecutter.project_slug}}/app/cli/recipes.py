"""Commands for recipes: patches for what only some services want."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.commands import commands
from app.cli.scaffolding import scaffold_module

Name = Annotated[str, typer.Argument(help="Its name, from `app recipes`.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes without making them.")]

recipe = typer.Typer(no_args_is_help=True, help="Add or remove a recipe.")
commands.add_typer(recipe, name="recipe")


@commands.command("recipes")
def recipes_command() -> None:
    """List the recipes: patches for what only some services want."""
    for line in scaffold_module("recipes").recipes():
        typer.echo(line)


@recipe.command("add")
def add_command(
    name: Name,
    *,
    reject: Annotated[
        bool, typer.Option("--reject", help="Change what fits, and write the rest to *.rej.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Apply a recipe to a clean work tree, or say why it does not fit."""
    for line in scaffold_module("recipes").add(name, dry_run=dry_run, reject=reject):
        typer.echo(line)


@recipe.command("remove")
def remove_recipe_command(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for a confirmation.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Undo a recipe, unless somebody has edited what it added."""

    def confirm(question: str) -> None:
        if not yes:
            typer.confirm(question, abort=True)

    for line in scaffold_module("recipes").remove(name, dry_run=dry_run, confirm=confirm):
        typer.echo(line)
