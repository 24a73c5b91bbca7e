"""Runs tests in a process of its own, as an owner's tests from another folder."""

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import URL

PROJECT = Path(__file__).parents[1]


def run_pytest(folder: Path, server: URL, tests: str, *options: str) -> str:
    """Write tests into a folder, run them there, and return the output."""
    (folder / "test_own.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(PROJECT / "pyproject.toml")]
    # The fixtures of the later plugin replace those of the other.
    command += ["--rootdir", str(PROJECT), "-p", "anyio", "-p", "tests.conftest"]
    environment = os.environ | {
        "TEST_DATABASE_URL": server.render_as_string(hide_password=False),
        "TEST_DRIVER": server.get_driver_name(),
        "PYTHONPATH": str(PROJECT),
    }
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "COV_CORE_SOURCE"):
        environment.pop(name, None)
    completed = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(folder / "test_own.py"), *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return completed.stdout + completed.stderr
