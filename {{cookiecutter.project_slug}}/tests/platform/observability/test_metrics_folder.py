"""The folder of a service with several processes is found by them alone, and does not stay behind."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.core.config import Settings
from app.core.env_file import PROJECT, ConfigurationError
from app.core.observability.metrics import folder as metrics_folder
from app.core.observability.metrics.endpoint import make_metrics
from app.core.observability.metrics.folder import (
    MIN_FREE,
    VARIABLE,
    OwnedFolder,
    share_metrics,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no metrics to share")

# Starts two processes, as servers do, which print the folder and leave it in the end.
STARTED = """
import multiprocessing, sys
from app.core.observability.metrics.folder import share_metrics

def work():
    folder = share_metrics()
    print(folder.path, len(list(folder.path.iterdir())), flush=True)
    folder.leave()

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    for _ in range(2):
        process = spawn.Process(target=work)
        process.start()
        process.join()
"""


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "to be restored")
    monkeypatch.delenv(VARIABLE)
    share_metrics.cache_clear()


def test_processes_of_one_server_find_one_folder(tmp_path: Path) -> None:
    (tmp_path / "started.py").write_text(STARTED)
    output = subprocess.run(
        [sys.executable, tmp_path / "started.py"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    one, other = output.splitlines()

    assert one == other
    assert "/metrics-" in one
    assert not Path(one.split()[0]).exists()


def test_single_process_shares_nothing() -> None:
    assert share_metrics() is None
    assert VARIABLE not in os.environ


def test_folder_that_is_given_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "given"))
    folder = share_metrics()

    assert folder
    assert folder.path == tmp_path / "given"
    folder.leave()
    assert folder.path.is_dir()


def test_last_process_removes_the_folder(tmp_path: Path) -> None:
    one, other = OwnedFolder(tmp_path / "metrics-1"), OwnedFolder(tmp_path / "metrics-1")
    one.enter()
    other.enter()

    one.leave()
    assert one.path.exists()
    other.leave()
    assert not one.path.exists()


def test_folder_of_a_service_that_was_killed_is_removed_at_the_next_start(tmp_path: Path) -> None:
    used, killed = OwnedFolder(tmp_path / "metrics-1"), tmp_path / "metrics-2"
    used.enter()
    killed.mkdir()
    (killed / "in-use").touch()
    unrelated = tmp_path / "metrics-of-others"
    unrelated.mkdir()
    next_one = OwnedFolder(tmp_path / "metrics-3")
    next_one.enter()

    assert {path.name for path in tmp_path.iterdir()} == {"metrics-1", "metrics-3", unrelated.name}
    for folder in (used, next_one):
        folder.leave()


def test_machine_without_a_writable_folder_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    monkeypatch.setattr(metrics_folder, "_SHARED_MEMORY", tmp_path / "none")
    monkeypatch.setattr("tempfile.gettempdir", nowhere)

    with pytest.raises(ConfigurationError, match=f"Set {VARIABLE}, or METRICS=off"):
        share_metrics()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file system have room for three files, each as large as what has to be free."""

    def free(path: Path) -> SimpleNamespace:
        return SimpleNamespace(total=1, free=MIN_FREE * (3 - len(list(path.glob("*.db")))))

    monkeypatch.setattr(metrics_folder, "disk_usage", free)


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.usefixtures("full")
def test_counts_of_ended_processes_are_removed_only_where_space_is_short(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = OwnedFolder(tmp_path / "metrics-1")
    folder.path.mkdir()
    mine = folder.path / f"counter_{os.getpid()}.db"
    left = folder.path / f"histogram_{ended_process()}.db"
    for path in (mine, left):
        path.touch()
    folder.enter()
    assert (left.exists(), caplog.messages) == (True, [])

    (folder.path / f"counter_{ended_process()}.db").touch()
    folder.enter()
    assert list(folder.path.glob("*.db")) == [mine]
    assert caplog.messages == [
        "Metrics: the counts of ended processes are removed, because space is short"
    ]
    folder.leave()


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("is_given", [True, False])
def test_process_without_room_has_no_metrics_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    *,
    is_given: bool,
) -> None:
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    monkeypatch.setattr(metrics_folder, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(metrics_folder, "MIN_FREE", 4 * MIN_FREE)
    if is_given:
        monkeypatch.setenv(VARIABLE, str(tmp_path / "given"))
    metrics = make_metrics(settings.model_copy(update={"metrics": "on"}))

    assert metrics is None
    assert "METRICS: this process has none, because less than 16 MiB are free" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["given"] * is_given


def test_port_of_another_service_is_refused(tmp_path: Path) -> None:
    one, sibling = OwnedFolder(tmp_path / "metrics-1"), OwnedFolder(tmp_path / "metrics-1")
    other = OwnedFolder(tmp_path / "metrics-2")
    for folder in (one, sibling, other):
        folder.enter()
    one.claim_port(9464)
    sibling.claim_port(9464)
    with pytest.raises(ConfigurationError, match="METRICS: port 9464 is that of another service"):
        other.claim_port(9464)
    other.claim_port(9465)
    for folder in (one, sibling):
        folder.leave()
    other.claim_port(9464)
    one.enter()
    with pytest.raises(ConfigurationError, match="9464"):
        one.claim_port(9464)
    for folder in (one, other):
        folder.leave()
    assert list(tmp_path.iterdir()) == []
