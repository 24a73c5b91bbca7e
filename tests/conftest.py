"""Fixtures, and the one PostgreSQL server of a run, which all workers and all baked suites share."""

import os
import tempfile
from pathlib import Path

import pytest
from baking import copy_template
from postgres import Server, ServerError, start_server

# Tests of the projects that tests/test_updates.py and tests/test_own_resource.py make.
collect_ignore = ["edits", "own_resource"]
server_key = pytest.StashKey[Server]()
workspace_key = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


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


def pytest_unconfigure(config: pytest.Config) -> None:
    if server_key in config.stash:
        config.stash[server_key].stop()
        config.stash[workspace_key].cleanup()


def pytest_report_header(config: pytest.Config) -> str | None:
    return config.stash[server_key].description if server_key in config.stash else None


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
def database_server() -> str:
    return os.environ["TEST_DATABASE_URL"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how each baked suite ended, and what was measured."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name in {"suite", "figures"}:
                terminalreporter.write_line(f"{report.nodeid}: {value}")
