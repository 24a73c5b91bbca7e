"""What programs of other packages accept: their subcommands and options, as they say themselves."""

import ast
import contextlib
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer
from alembic.config import CommandLine
from fastapi_cli.cli import app as fastapi_app
from typer.core import TyperCommand, TyperGroup

_OPTION: Final = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_FASTAPI: Final = typer.main.get_command(fastapi_app)


def of_typer(group: Any, arguments: Sequence[str]) -> str:
    """Have a command line that is written with Typer parse a command, without running it."""
    try:
        command, words = resolved(group, arguments)
        command.make_context(command.name or "", words)
    except typer.TyperException as error:
        return error.format_message()
    return ""


def resolved(group: Any, arguments: Sequence[str]) -> tuple[TyperCommand, list[str]]:
    """Return a command, and its arguments. Raises `TyperException` if there is no such command."""
    command = group
    words = [*arguments]
    while isinstance(command, TyperGroup):
        name = words.pop(0) if words else ""
        if name not in command.commands:
            raise typer.TyperException(f"no command {name}")
        command = command.commands[name]
    assert isinstance(command, TyperCommand)
    return command, words


def of_fastapi(arguments: Sequence[str]) -> str:
    return of_typer(_FASTAPI, arguments)


def of_python(arguments: Sequence[str]) -> str:
    """Check the code after `-c`."""
    option, *code = arguments
    if option != "-c" or len(code) != 1:
        return f"python {option}?"
    try:
        ast.parse(code[0])
    except SyntaxError as error:
        return str(error)
    return ""


def of_alembic(arguments: Sequence[str]) -> str:
    return _unknown("alembic", arguments, _help_of_alembic(_subcommand(arguments)))


def of_script(program: str, arguments: Sequence[str]) -> str:
    """Check a program that is installed with the project, such as ruff."""
    path = shutil.which(program, path=str(Path(sys.executable).parent))
    if path is None:
        return f"no {program}"
    if not arguments:
        return ""
    return _unknown(program, arguments, _help_of_script(path, _subcommand(arguments)))


def of_git(arguments: Sequence[str]) -> str:
    """Check the subcommand. Which options it has depends on the version of git."""
    return "" if _is_of_git(arguments[0]) else f"git {arguments[0]}?"


def _subcommand(arguments: Sequence[str]) -> str:
    return "" if arguments[0].startswith("-") else arguments[0]


def _unknown(program: str, arguments: Sequence[str], shown: str | None) -> str:
    """Return the options that a help does not show. It is None if there is no such subcommand.

    A number such as `-1`, a step of Alembic, is no option.
    """
    if shown is None:
        return f"{program} {arguments[0]}?"
    options = {word.partition("=")[0] for word in arguments if re.match(r"-(?!\d)", word)}
    return ", ".join(sorted(options - {*_OPTION.findall(shown)}))


@cache
def _help_of_script(path: str, subcommand: str) -> str | None:
    command = [path, *filter(None, [subcommand]), "--help"]
    shown = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return None if shown.returncode else shown.stdout


@cache
def _help_of_alembic(subcommand: str) -> str | None:
    """Ask its parser, because each start of the program takes more than a second."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        try:
            CommandLine().parser.parse_args([*filter(None, [subcommand]), "--help"])
        except SystemExit as end:
            return None if end.code else shown.getvalue()
    return None


@cache
def _is_of_git(subcommand: str) -> bool:
    """Return whether git shows a usage, which it does with 129 as its exit code."""
    shown = subprocess.run(["git", subcommand, "-h"], capture_output=True, check=False)
    return shown.returncode == 129
