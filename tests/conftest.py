"""Fixtures, and the one PostgreSQL server of a run, which all workers and all baked suites share."""

import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
from baking import copy_template
from browsers import find_browser
from containers import remove_shared_images, succeeds
from postgres import Server, ServerError, start_server

# Tests of the projects that tests/test_updates.py and tests/test_own_resource.py make.
collect_ignore = ["edits", "own_resource", "own_tenants"]
server_key = pytest.StashKey[Server]()
workspace_key = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
# A baked suite takes minutes, in which a person would see nothing.
SILENCE = 20  # seconds
LONGEST = "test_variants.py::test_suite_passes[asyncpg-auth]"


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if is_worker or config.option.collectonly:
        return
    try:
        server = start_server()
    except ServerError as error:
        pytest.exit(str(error), returncode=1)
    config.stash[server_key] = server
    os.environ["TEST_DATABASE_URL"] = server.url  # inherited by the workers and the baked suites
    folder = tempfile.TemporaryDirectory(prefix="bakes-", ignore_cleanup_errors=True)
    config.stash[workspace_key] = folder
    os.environ["BAKES_FOLDER"] = folder.name


class Progress:
    """Says which tests are running while none ends, and why a test failed when it fails."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal
        self._started: dict[str, float] = {}
        self._last_end = time.monotonic()
        threading.Thread(target=self._report, daemon=True).start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._started[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._started.pop(nodeid, None)
        self._last_end = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # pytest prints it at the end, which may be half an hour later or, if interrupted, never.
        if report.failed:
            self._terminal.write_line("")  # after the dots
            self._terminal.write_sep("_", f"{report.nodeid} ({report.when})")
            self._terminal.write_line(report.longreprtext)

    def _report(self) -> None:
        while True:
            time.sleep(SILENCE)
            now = time.monotonic()
            if self._started and now - self._last_end >= SILENCE:
                running = [f"{name} ({now - at:.0f} s)" for name, at in [*self._started.items()]]
                self._terminal.write_line(f"still running: {', '.join(running)}")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Never stay silent for long. xdist tells the process that prints of the tests of all workers."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Progress(terminal))


def pytest_unconfigure(config: pytest.Config) -> None:
    if server_key in config.stash:
        config.stash[server_key].stop()
        remove_shared_images(Path(config.stash[workspace_key].name))
        config.stash[workspace_key].cleanup()


def pytest_report_header(config: pytest.Config) -> list[str]:
    server = [config.stash[server_key].description] if server_key in config.stash else []
    browser = find_browser() or "none is installed, so tests marked `browser` are deselected"
    return [*server, f"Browser: {browser}"]


@pytest.hookimpl(trylast=True)  # after pytest has brought those with the same fixtures together
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the suites of bakes, which take minutes: at the end, other workers would idle.

    Deselect the tests that need a browser where there is none; TEST_BROWSER demands it.
    """
    items.sort(key=lambda item: not item.name.startswith("test_suite_passes"))
    items.sort(key=lambda item: not item.nodeid.endswith(LONGEST))
    # Each worker takes two: the second one waits for the longest, so let it be a quick one.
    items[1:] = items[-1:] + items[1:-1] if len(items) > 1 else []
    if not find_browser():
        deselected = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean copy of this repository."""
    return copy_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def workspace() -> Path:
    """Return the folder, one for all workers, for projects whose commands and suites are run.

    It is not one of pytest's. Where root runs the tests, an embedded server runs as another user,
    and each pytest session that starts closes the folder which all of them share to that user.
    """
    return Path(os.environ["BAKES_FOLDER"])


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Skip the test without a running Docker engine, or fail if TEST_POSTGRES demands one."""
    if succeeds("info"):
        return
    if os.environ.get("TEST_POSTGRES") == "container":
        pytest.fail("No Docker engine is running, and TEST_POSTGRES=container demands one.")
    pytest.skip("no Docker engine is running")


@pytest.fixture(scope="session")
def database_server() -> str:
    return os.environ["TEST_DATABASE_URL"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how each baked suite ended, and what was measured."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name in {"suite", "figures"}:
                terminalreporter.write_line(f"{report.nodeid}: {value}")
