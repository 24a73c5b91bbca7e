"""A terminal in a project, for the commands of its documents, as they stand there."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from baking import project_environment, uv_executable
from documented_edits import typed_lines
from faults.postgres_process import free_port, wait_until
from processes import output_of
from repositories import IDENTITY

STARTED_IN = 120.0  # seconds, in which uv may have to install the project
BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# The commands that serve until they are interrupted: how they are told the port, which is the only thing
# that is added to them, and what they serve once they are ready.
SERVERS = {
    "uv run app dev": ("--port {}", "/health/ready"),
    "uv run fastapi dev": ("--port {}", "/health/ready"),
    "uv run --group docs zensical serve": ("--dev-addr 127.0.0.1:{}", "/"),
}
# Tests of whole suites, which other tests run: here they are collected.
WHOLE_SUITES = {"uv run pytest", "uv run pytest -n 2", "uv run pytest --ignore tests/platform"}


def lines_by_block(document: Path) -> list[list[str]]:
    """Return what a document has its reader type: the lines of each block, without their comments."""
    blocks = BLOCK.findall(document.read_text(encoding="utf-8"))
    return [typed_lines(block) for _, block in blocks]


def lines_of(document: Path) -> list[str]:
    """Return the lines of all blocks that a document has its reader type."""
    return [line for lines in lines_by_block(document) for line in lines]


@dataclass(frozen=True)
class Terminal:
    """A shell in a project, in which uv can be found."""

    project: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(uv_executable()).parent), os.environ["PATH"]])
        return project_environment(IDENTITY | {"PATH": path} | dict(self.variables))

    def type_in(self, line: str, answers: str = "", **variables: str) -> str:
        """Run a line and return what it prints; raise AssertionError with that on failure.

        `answers` are typed after it. A suite is collected, not run.
        """
        if line in WHOLE_SUITES:
            variables |= {"PYTEST_ADDOPTS": "--collect-only --quiet"}
        environment = self.environment | variables
        return output_of("sh", "-c", line, folder=self.project, env=environment, input_=answers)

    @contextmanager
    def serving(self, line: str) -> Iterator[str]:
        """Run one of the `SERVERS`, and yield its address. Interrupts it when the block ends."""
        option, path = SERVERS[line]
        port = free_port()
        log = self.project.with_name(f"{self.project.name}-{port}.log")
        # A run that was started in the background ignores Ctrl-C, and so would what it starts.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", f"exec {line} {option.format(port)}"],
                cwd=self.project,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        signal.signal(signal.SIGINT, before)
        url = f"http://127.0.0.1:{port}"

        def responds() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            try:
                return httpx.get(url + path).is_success
            except httpx.TransportError:
                return False

        try:
            wait_until(responds, f"`{line}` serves, log in {log}", STARTED_IN)
            yield url
        finally:
            interrupt(process)


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Type Ctrl-C, again each five seconds, as people do where a program is busy."""
    for _ in range(12):
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    raise AssertionError("twelve Ctrl-C do not end it")
