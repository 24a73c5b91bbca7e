"""Tests of an owner run with what they know: FastAPI's `TestClient`, plugins, the runner of an IDE."""

from pathlib import Path

from sqlalchemy import URL

from tests.separate_run import run_pytest

OWN_TESTS = """
import warnings

from fastapi.testclient import TestClient

from app.core.config import Settings
from app.main import create_app


def test_with_the_client_of_fastapi(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        assert client.get("/health/live").status_code == 200


class Testimonial:
    # As a model that a test has imported.

    __module__ = "app.models.testimonial"

    def __init__(self) -> None: ...


def test_that_another_package_warns() -> None:
    warnings.warn_explicit("old", DeprecationWarning, "site-packages/other.py", 1, module="other")


def test_that_the_app_warns() -> None:
    warnings.warn_explicit("old", DeprecationWarning, "app/main.py", 1, module="app.main")
"""


def test_own_tests_run_and_a_warning_of_the_app_fails_them(
    tmp_path: Path, template_url: URL
) -> None:
    output = run_pytest(tmp_path, template_url, OWN_TESTS, "-n", "1")

    assert "1 failed, 2 passed" in output, output
    assert "E       DeprecationWarning: old" in output, output
    assert "test_that_the_app_warns" in output, output
    assert "cannot collect test class" not in output, output


def test_own_tests_run_without_plugins(tmp_path: Path, template_url: URL) -> None:
    output = run_pytest(tmp_path, template_url, OWN_TESTS, "-p", "no:xdist", "-k", "client")

    assert "1 passed, 2 deselected" in output, output
