"""Servers log in the same form, with several workers too, and lose nothing at their end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from app.core.config import Settings

PROJECT = Path(__file__).parents[3]

MODULE = """
from app.asgi import app

@app.get("/things/{thing_id}")
async def read(thing_id: int) -> int:
    return 1 // thing_id
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.long
def test_every_line_of_a_server_with_workers_is_json(
    settings: Settings, caller_settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(MODULE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DEVELOPMENT": "true",
        "DATABASE_URL": settings.database_url.render_as_string(hide_password=False),
        **{name.upper(): text_of(value) for name, value in caller_settings.items()},
        "UVICORN_LOG_CONFIG": str(PROJECT / log_config_of_image()),
        "PYTHONPATH": str(tmp_path),
    }
    command = [sys.executable, "-m", "uvicorn", "served:app", f"--port={port}", "--workers=2"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}/things"
            wait_for(f"{url}/1")
            statuses = [
                httpx.get(f"{url}/{number}", trust_env=False).status_code for number in (1, 0, 2)
            ]
            server.send_signal(signal.SIGTERM)
            server.wait(20)
        finally:
            server.kill()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    messages = [line["message"] for line in lines]

    assert statuses == [200, 500, 200]
    assert messages.count("GET /things/{thing_id} 200") == 3
    assert messages.count("GET /things/{thing_id} 500") == 1
    (error,) = [line for line in lines if "exception" in line]
    (failed,) = [line for line in lines if line.get("status") == 500]
    assert error["request_id"] == failed["request_id"]
    assert error["route"] == "/things/{thing_id}"
    assert error["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")
    for text, number in {
        "Uvicorn running on": 1,
        "Started server process": 2,
        "Application startup complete.": 2,
        "Finished server process": 2,
        "Stopping parent process": 1,
        '"GET /things': 0,  # of the access log
    }.items():
        assert len([message for message in messages if message.startswith(text)]) == number, text


def log_config_of_image() -> str:
    """Return the path within the project."""
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    (path,) = re.findall(r"^ENV UVICORN_LOG_CONFIG=/srv/app/(.+)$", dockerfile, re.MULTILINE)
    return str(path)


def text_of(value: object) -> str:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)


def wait_for(url: str) -> None:
    """Wait for one response."""
    for _ in range(200):
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server does not start")
