"""The commands of a project run in any folder, on the embedded server."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from baking import bake, run
from terminal import Terminal

NAME = "My Projects & 'more'; (1) é"
# Set while the template's own tests run, for their server.
ON_ITS_OWN = {"TEST_DATABASE_URL": "", "TEST_POSTGRES": "embedded"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names"),
]


@pytest.fixture(scope="module")
def project(template: Path, workspace: Path) -> Path:
    folder = workspace / f"{NAME} {os.environ.get('PYTEST_XDIST_WORKER', '')}"
    folder.mkdir()
    return bake(template, folder, db_driver="psycopg", use_auth=False)


@pytest.fixture
def served(project: Path) -> Iterator[str]:
    with Terminal(project, ON_ITS_OWN).serving("uv run app dev") as url:
        yield url


def test_project_is_migrated_and_tested(project: Path) -> None:
    assert "newest revision" in run(project, "app", "migrate", env=ON_ITS_OWN)
    assert " passed" in run(project, "pytest", "-q", "tests/services", env=ON_ITS_OWN)


def test_project_is_served(served: str) -> None:
    assert httpx.get(f"{served}/posts").json()["items"]
