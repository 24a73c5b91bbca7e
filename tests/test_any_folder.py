"""The commands of a project run in any folder, on the embedded server."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from baking import bake, project_environment, run, uv_executable

NAME = "My Projects & 'more'; (1) é"
# Set while the template's own tests run, for their server.
ON_ITS_OWN = {"TEST_DATABASE_URL": "", "TEST_POSTGRES": "embedded"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")


@pytest.fixture(scope="module")
def project(template: Path, workspace: Path) -> Path:
    folder = workspace / f"{NAME} {os.environ.get('PYTEST_XDIST_WORKER', '')}"
    folder.mkdir()
    return bake(template, folder, db_driver="psycopg", use_auth=False)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def served(project: Path, port: int, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of `app dev`."""
    command = [uv_executable(), "run", "app", "dev", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=project,
            env=project_environment(ON_ITS_OWN),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        try:
            if httpx.get(f"{url}/health/ready").is_success:
                break
        except httpx.TransportError:
            time.sleep(0.2)
    yield url
    os.killpg(process.pid, signal.SIGINT)
    process.wait(60)


def test_project_is_migrated_and_tested(project: Path) -> None:
    assert "newest revision" in run(project, "app", "migrate", env=ON_ITS_OWN)
    assert " passed" in run(project, "pytest", "-q", "tests/services", env=ON_ITS_OWN)


def test_project_is_served(served: str) -> None:
    assert httpx.get(f"{served}/posts").json()["items"]
