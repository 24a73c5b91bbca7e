"""The folder of a service with several processes is found by them alone, and does not stay behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.env_file import PROJECT, ConfigurationError
from app.core.observability.metrics import folder as metrics_folder
from app.core.observability.metrics.folder import VARIABLE, OwnedFolder, share_metrics

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
