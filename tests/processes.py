"""Running programs, for the tests and the demo."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def output_of(
    *command: str | Path,
    folder: Path | None = None,
    env: Mapping[str, str] = os.environ,
    input_: str = "",
) -> str:
    """Run a program and return what it prints; raise AssertionError with it on failure."""
    completed = subprocess.run(
        command,
        cwd=folder,
        env=env,
        input=input_,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if completed.returncode:
        program, *arguments = command
        shown = " ".join([Path(program).name, *map(str, arguments)])
        raise AssertionError(f"`{shown}` exited with {completed.returncode}:\n{completed.stdout}")
    return completed.stdout
