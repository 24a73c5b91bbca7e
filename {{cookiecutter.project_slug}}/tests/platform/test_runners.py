"""Tests of an owner run with what they know: FastAPI's `TestClient`, plugins, the runner of an IDE."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

PROJECT = Path(__file__).parents[2]

OWN_TESTS = """
import warnings

from fastapi.testclient import TestClient

from app.core.config import Settings
from app.main import create_app


def test_with_the_client_of_fastapi(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        assert client.get("/health/live").status_code == 200


def test_that_another_package_warns() -> None:
    warnings.warn_explicit("old", DeprecationWarning, "site-packages/other.py", 1, module="other")
"""

OUR_WARNING = """
import warnings


def test_that_the_app_warns() -> None:
    warnings.warn_explicit("old", DeprecationWarning, "app/main.py", 1, module="app.main")
"""


def run_pytest(folder: Path, server: URL, text: str, *options: str) -> str:
    """Run a file of tests in a process of its own, from another folder, and return the output."""
    (folder / "test_own.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(PROJECT / "pyproject.toml")]
    command += ["--rootdir", str(PROJECT), "-p", "tests.conftest", "-p", "no:cacheprovider"]
    environment = os.environ | {
        "TEST_DATABASE_URL": server.render_as_string(hide_password=False),
        "TEST_DRIVER": server.get_driver_name(),
        "PYTHONPATH": str(PROJECT),
    }
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "COV_CORE_SOURCE"):
        environment.pop(name, None)
    completed = subprocess.run(
        [*command, str(folder / "test_own.py"), *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return completed.stdout + completed.stderr


@pytest.mark.parametrize(
    "options", [(), ("-p", "no:xdist"), ("-n", "1"), ("-k", "client")], ids=" ".join
)
def test_own_tests_run(tmp_path: Path, template_url: URL, options: tuple[str, ...]) -> None:
    output = run_pytest(tmp_path, template_url, OWN_TESTS, *options)

    assert " passed" in output, output
    assert " failed" not in output, output
    assert " error" not in output, output


def test_warning_of_the_app_is_an_error(tmp_path: Path, template_url: URL) -> None:
    output = run_pytest(tmp_path, template_url, OUR_WARNING)

    assert "1 failed" in output, output
