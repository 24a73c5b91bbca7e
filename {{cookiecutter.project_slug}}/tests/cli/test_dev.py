"""`app dev` as a person runs it: the embedded server, real requests, Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from app.cli.embedded_postgres import data_folder
from tests.callers import new_user, printed_of_demo_user
from tests.ports import free_port

# The command, with its data in another folder than that of a developer's own `app dev`.
COMMAND = """
import sys
from pathlib import Path
from app.cli import dev_server, main
dev_server.DIRECTORY = Path(sys.argv.pop())
main.cli()
"""


def wait_for(url: str, process: subprocess.Popen[str]) -> httpx.Response:
    """Send requests until there is a response, for up to a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
    process.kill()
    pytest.fail(f"no response; the command printed:\n{process.communicate()[0]}")


def end(process: subprocess.Popen[str]) -> None:
    """End what a failed test has left running."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to a console only")
def test_dev_serves_demo_data_and_leaves_nothing_running(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    directory = tmp_path / ".postgres"
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "dev", "--port", str(port), str(directory)],
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    request.addfinalizer(lambda: end(process))
    ready = wait_for(f"http://127.0.0.1:{port}/health/ready", process)
    known = httpx.post(f"http://127.0.0.1:{port}/users", json=new_user(email="ada@example.com"))
    hint = printed_of_demo_user(f"http://127.0.0.1:{port}")
    children = psutil.Process(process.pid).children(recursive=True)
    data = data_folder(directory / "data")
    server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))

    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=30)[0]

    assert ready.status_code == 200
    assert known.status_code == 409, known.text  # Ada is in the demo data
    assert hint in output
    assert re.search(rf"App +http://127.0.0.1:{port}\n", output)
    assert "Traceback" not in output
    _, alive = psutil.wait_procs([server, *children], timeout=10)
    assert not alive
    shutil.rmtree(data)
