"""Formatting by ruff, with the settings of the project."""

import subprocess
import sys
from pathlib import Path

from app.cli.commands import CommandError


def formatted(root: Path, name: str, text: str) -> str:
    """Return the text of a module without unused imports, sorted and formatted."""
    # Commas of the templates must not keep a list on several lines.
    options = ("--config", "format.skip-magic-trailing-comma=true")
    fixed = _ruff(root, text, "check", "--fix", "--quiet", "--stdin-filename", name, "-")
    return _ruff(root, fixed, "format", *options, "--quiet", "--stdin-filename", name, "-")


def reformatted(root: Path, name: str, text: str) -> str:
    """Return the text of a module formatted, and otherwise as it is."""
    return _ruff(root, text, "format", "--quiet", "--stdin-filename", name, "-")


def _ruff(root: Path, text: str, *arguments: str) -> str:
    completed = subprocess.run(  # noqa: S603 (ruff of the project's environment)
        [sys.executable, "-m", "ruff", *arguments],
        cwd=root,
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    if completed.returncode:
        told = (completed.stdout + completed.stderr).decode()
        raise CommandError(f"`ruff {' '.join(arguments)}` failed:\n{told}\n{text}")
    return completed.stdout.decode()
