"""How a service is started: a file says so, because a peer's installation is no part of this repository.

The file is JSON: `version` (what the table says), `folder` (where the commands run), `environment`,
`prepare` (commands that run once, such as the migration), `start` (the command of the service) and,
if it needs more than PostgreSQL, `beside` (commands of servers that run meanwhile). `disturbed` is
what its log says when a machine was too busy for it, such as that a supervisor gave a process up. In the texts,
`{port}` is where the service has to listen, and `{database_port}`, `{database}`, `{user}` and
`{password}` say where its database is.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from baking import project_environment
from benchmarks.servers import on_cores
from faults.postgres_process import free_port, wait_until

START_SECONDS = 90.0  # on a machine that does other things, too
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Launch:
    """The commands of a service, with placeholders."""

    version: str
    folder: Path
    start: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    prepare: list[list[str]] = field(default_factory=list)
    beside: list[list[str]] = field(default_factory=list)
    disturbed: str = ""

    @classmethod
    def read(cls, path: Path) -> "Launch":
        """Read a file. A relative folder is beside it."""
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**said | {"folder": path.parent / said["folder"]})


class Process:
    """A service that a probe may stop and start. Keeps its port and its log."""

    def __init__(self, launch: Launch, places: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self._launch = launch
        self._places = places | {"port": str(self.port)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        self._told = 0.0  # when SIGTERM was sent

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> psutil.Process:
        assert self._process
        return psutil.Process(self._process.pid)

    def prepare(self) -> None:
        """Run what has to run before the first start."""
        for command in self._launch.prepare:
            assert self._popen(command, []).wait(300) == 0, f"{command}:\n{self.log_tail()}"

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Run the servers that the service needs beside PostgreSQL."""
        with ExitStack() as stack:
            for command in self._launch.beside:
                server = self._popen(command, [])
                stack.callback(server.wait, STOP_SECONDS)
                stack.callback(server.terminate)
            yield

    def start(self, cores: list[int] | None = None) -> None:
        """Start on these cores, or on all, and wait until a response comes, whatever its status is."""
        self._told = 0.0
        self._process = self._popen(self._launch.start, cores or [])
        wait_until(self._responds, "the service starts", START_SECONDS, self.log_tail)

    def terminate(self) -> None:
        """Send SIGTERM to the process that was started, and to none of its children."""
        assert self._process
        if self.is_running():
            self._family = self.process.children(recursive=True)
        self._told = time.monotonic()
        self._process.terminate()

    def stop(self) -> float:
        """End the service, if need be by force; return how many seconds after SIGTERM it has ended."""
        assert self._process
        if not self._told:
            self.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        took = time.monotonic() - self._told
        for left in psutil.wait_procs(self._family, 1)[1]:
            left.kill()
        return took

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def disturbances(self) -> int:
        """Return how often its log says that the machine was too busy for it."""
        said = self._launch.disturbed
        return self._log.read_text(encoding="utf-8", errors="replace").count(said) if said else 0

    def log_tail(self) -> str:
        """Return what the service has written last."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def _popen(self, command: list[str], cores: list[int]) -> "subprocess.Popen[bytes]":
        environment = {
            name: self._filled(value) for name, value in self._launch.environment.items()
        }
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self._filled(part) for part in command],
                cwd=self._launch.folder,
                env=project_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=on_cores(cores),  # noqa: PLW1509 (nothing here has threads)
            )

    def _filled(self, text: str) -> str:
        for name, value in self._places.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _responds(self) -> bool:
        assert self.is_running(), f"the service ended:\n{self.log_tail()}"
        try:
            httpx.get(f"{self.url}/health/live", timeout=2, trust_env=False)
        except httpx.TransportError:
            return False
        return True


def template_launch(project: Path) -> Launch:
    """Return how a baked project is started: by the command of its Dockerfile, with the settings there."""
    bin_ = project / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    return Launch(
        version="asyncpg-auth",
        folder=project,
        environment={
            "DATABASE_URL": "postgresql://{user}:{password}@127.0.0.1:{database_port}/{database}",
            "SECRET_KEY": "signs-nothing-of-worth-0123456789-abcdefghijklm",
            "UVICORN_LOG_CONFIG": str(project / "app/core/observability/uvicorn.json"),
            "UVICORN_PROXY_HEADERS": "0",
            "UVICORN_TIMEOUT_KEEP_ALIVE": "75",
            # Every request of a probe comes from one address.
            "PASSWORD_TRIES_PER_ACCOUNT": "1000000",
            "PASSWORD_TRIES_PER_ADDRESS": "1000000",
            "MAILS_PER_ADDRESS": "1000000",
        },
        prepare=[[str(bin_ / "app"), "migrate"]],
        start=[
            *(str(bin_ / "uvicorn"), "app.asgi:app", "--port", "{port}"),
            *("--workers", "1", "--timeout-graceful-shutdown", "7"),
        ],
    )
