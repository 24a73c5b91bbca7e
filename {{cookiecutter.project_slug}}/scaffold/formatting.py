"""Formatting by ruff, with the settings of the project."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.cli.commands import CommandError


def formatted(root: Path, files: Mapping[str, str], *, keep_commas: bool = False) -> dict[str, str]:
    """Return the texts of modules by their names, formatted and without unused imports.

    Without `keep_commas`, a comma at its end does not keep a list on several lines.
    """
    options = () if keep_commas else ("--config", "format.skip-magic-trailing-comma=true")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        settings = ("--quiet", "--no-cache", "--config", str(root / "pyproject.toml"))
        _ruff(folder, "check", "--fix", "--output-format", "concise", *settings, ".")
        _ruff(folder, "format", *settings, *options, ".")
        return {name: Path(folder, name).read_text(encoding="utf-8") for name in files}


def reformatted(root: Path, name: str, text: str) -> str:
    """Return the text of a module formatted, and otherwise as it is."""
    return _ruff(root, "format", "--quiet", "--stdin-filename", name, "-", text=text)


def _ruff(folder: str | Path, *arguments: str, text: str = "") -> str:
    completed = subprocess.run(  # noqa: S603 (ruff of the project's environment)
        [sys.executable, "-m", "ruff", *arguments],
        cwd=folder,
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    if completed.returncode:
        told = (completed.stdout + completed.stderr).decode()
        raise CommandError(f"`ruff {arguments[0]}` refuses what would be written: {told.strip()}")
    return completed.stdout.decode()
