"""Commands for recipes: patches for what only some services want."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from app.cli.commands import Yes, commands, confirm
from app.cli.scaffolding import DryRun, change_project, print_lines, scaffold_module

Name = Annotated[str, typer.Argument(help="Its name, from `app recipes`.")]

recipe = typer.Typer(no_args_is_help=True, help="Add or remove a recipe.")
commands.add_typer(recipe, name="recipe")


@commands.command("recipes")
def recipes_command() -> None:
    """List the recipes: patches for what only some services want."""
    print_lines(scaffold_module("recipes").recipes())


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
    add = scaffold_module("recipes").add
    change_project(add(name, dry_run=dry_run, reject=reject), dry_run=dry_run)


@recipe.command("remove")
def remove_recipe_command(name: Name, *, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Undo a recipe, unless somebody has edited what it added."""
    remove = scaffold_module("recipes").remove
    lines = remove(name, dry_run=dry_run, confirm=partial(confirm, yes=yes))
    change_project(lines, dry_run=dry_run)
