"""The baked service, served by uvicorn: a process that a test may stop and kill."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
from baking import project_environment
from processes import output_of

from faults.postgres_process import PATIENCE, free_port, wait_until

SERVED = Path(__file__).parent / "served"

# What has no place in the log, whatever the fault: bugs, leaks, and responses that nobody expected. That a
# connection is closed is the cause of a 503: asyncpg says so if it was lost between two statements.
BAD_WORDS = re.compile(
    r"never retrieved|non-checked-in|was never awaited|Task was destroyed|Internal Server Error"
    r"|RuntimeError|AttributeError|AssertionError|InvalidRequestError"
    r"|InterfaceError(?!.*connection is closed)"
)


@dataclass(frozen=True)
class Service:
    """A project with its environment, and the variables to run it with."""

    project: Path
    environment: dict[str, str]
    app: str = "app.asgi:app"

    def serving(self, app: str) -> "Service":
        """Return the same with an app of the folder `served`."""
        environment = self.environment | {"PYTHONPATH": str(SERVED)}
        return replace(self, environment=environment, app=app)

    def run(self, *command: str) -> str:
        """Run a command of the project and return what it prints."""
        program = self.project / ".venv/bin" / command[0]
        environment = project_environment(self.environment)
        return output_of(program, *command[1:], folder=self.project, env=environment)


class ServiceProcess:
    """A uvicorn process. Keeps its port and its log when it is started again."""

    def __init__(self, service: Service, log: Path) -> None:
        self.port = free_port()
        self.log = log
        self._service = service
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it responds, with or without a database."""
        command = [
            ".venv/bin/uvicorn", self._service.app, "--port", str(self.port), "--no-access-log",
            "--timeout-graceful-shutdown", "7",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._service.project,
                env=project_environment(self._service.environment),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._responds, f"the service starts, log in {self.log}")

    def terminate(self) -> int:
        """Ask it to stop, wait until it has, and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        assert self._process
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def rss(self) -> int:
        """Return the memory that the process has, in bytes."""
        size: int = psutil.Process(self.pid).memory_info().rss
        return size

    def complaints(self) -> list[str]:
        """Return the lines of the log that tell of a bug or a leak."""
        return [line for line in self.log.read_text().splitlines() if BAD_WORDS.search(line)]

    def _responds(self) -> bool:
        assert self.is_running(), f"the service ended:\n{self.log.read_text()}"
        try:
            return httpx.get(f"{self.url}/health/live", timeout=2).is_success
        except httpx.TransportError:
            return False


@contextmanager
def serving(service: Service, log: Path) -> Iterator[ServiceProcess]:
    process = ServiceProcess(service, log)
    try:
        process.start()
        yield process
    finally:
        if process.is_running():
            process.signal(signal.SIGCONT)
            process.kill()
