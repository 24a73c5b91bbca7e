"""Finds `scaffold`, which does the work of commands that write code, and is not deployed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from app.cli.commands import CommandError

if TYPE_CHECKING:
    from types import ModuleType


def scaffold_module(name: str) -> ModuleType:
    """Return a module of `scaffold`. Raises `CommandError` where that is not there."""
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
