"""A slow reader of the log keeps nobody waiting, and what is dropped is counted."""

import errno
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import Mock

import pytest

from app.core.env_file import PROJECT
from app.core.observability import line_queue
from app.core.observability.line_queue import LineQueue
from app.core.observability.logs import LineHandler, make_handler, queued_lines

LINE = "x" * 999 + "\n"
SECONDS: Final = 5  # to stop


class Pipe:
    """A pipe whose reader reads when it is told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.file = open(self.writer, "wb", buffering=0, closefd=False)  # noqa: SIM115

    def read(self, size: int = 2**20) -> str:
        return os.read(self.reader, size).decode()


@pytest.fixture
def pipe() -> Generator[Pipe]:
    pipe = Pipe()
    yield pipe
    for end in (pipe.reader, pipe.writer):
        os.close(end)


def report(number: int) -> str:
    return f"{number} dropped\n"


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    queue = LineQueue(pipe.file, report)
    lines = [f"line {number}\n" for number in range(1000)]
    for line in lines:
        queue.put(line)

    assert queue.stop(SECONDS)
    assert pipe.read() == "".join(lines)


def test_reader_that_does_not_read_makes_nobody_wait(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_queue, "MAX_BYTES", 200_000)
    queue = LineQueue(pipe.file, report)
    for _ in range(1000):  # 1 MB, of which a pipe holds 64 KiB
        queue.put(LINE)

    # It has not waited: it is here, and reads.
    text = ""
    while text.count(LINE) + sum(map(int, re.findall(r"(\d+) dropped", text))) < 1000:
        text += pipe.read()
    assert 199_000 < text.count(LINE) * len(LINE) < 300_000
    assert queue.stop(SECONDS)


def test_end_of_the_process_does_not_wait_for_a_reader_that_is_stuck(
    pipe: Pipe,
) -> None:
    queue = LineQueue(pipe.file, report)
    for _ in range(100):
        queue.put(LINE)

    assert not queue.stop(0.05)
    pipe.read()  # lets the thread end
    assert queue.stop(SECONDS)


def test_reader_that_has_gone_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    queue = LineQueue(io.FileIO(writer, "wb"), report)
    queue.put(LINE)

    assert queue.stop(SECONDS)
    assert capfd.readouterr().err == ""


class Disk(io.RawIOBase):
    """A disk that is full beyond `room` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.text = ""
        self.has_failed = threading.Event()

    def write(self, data: object) -> int:
        part = memoryview(data)[: self.room]  # type: ignore[arg-type]
        if not part:
            self.has_failed.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(part)
        self.text += bytes(part).decode()
        return len(part)


@pytest.mark.parametrize(
    ("room", "first", "dropped"),
    [
        (0, "", 3),
        (2, "aa\n", 3),
        (4, "aaa\n", 2),
        (5, "aaa\nb\n", 2),
    ],
)
def test_lines_that_a_full_disk_does_not_take_are_dropped_as_a_whole_and_counted(
    monkeypatch: pytest.MonkeyPatch, room: int, first: str, dropped: int
) -> None:
    gathered = threading.Event()
    monkeypatch.setattr(line_queue, "time", Mock(sleep=lambda _: gathered.wait(SECONDS)))
    disk = Disk(room)
    queue = LineQueue(disk, report)
    for line in ("aaa\n", "bbb\n"):
        queue.put(line)
    gathered.set()
    assert disk.has_failed.wait(SECONDS)
    disk.has_failed.clear()
    queue.put("not at all\n")
    assert disk.has_failed.wait(SECONDS)
    disk.room = 1000  # somebody has made room
    queue.put("ccc\n")

    assert queue.stop(SECONDS)
    assert disk.text == first + "ccc\n" + report(dropped)
    assert queue.dropped == dropped


# Writes lines of one letter that are longer than a pipe writes as a whole.
WRITER = """
import sys, time
from app.core.observability.line_queue import LineQueue

queue = LineQueue(open(1, "wb", buffering=0), str)
for _ in range(40):
    queue.put(sys.argv[1] * 9999 + "\\n")
time.sleep(0.05)  # it has gathered them, and writes
print("writing", file=sys.stderr, flush=True)
queue.stop(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not lock pipes")
def test_long_lines_of_several_processes_do_not_mix(pipe: Pipe) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, letter],
            cwd=PROJECT,
            stdout=pipe.writer,
            stderr=subprocess.PIPE,
        )
        for letter in "abc"
    ]
    for writer in writers:
        assert writer.stderr
        with writer.stderr as errors:
            assert errors.readline() == b"writing\n"
    text = ""
    while len(text) < 3 * 40 * 10_000:
        text += pipe.read(8192)

    assert [writer.wait() for writer in writers] == [0, 0, 0]
    lines = text.splitlines()
    assert {line for line in lines if line != line[0] * 9999} == set()
    assert len(lines) == 120


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are not set to non-blocking there")
def test_pipe_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    queue = LineQueue(pipe.file, report)
    for _ in range(200):
        queue.put(LINE)

    size = 0
    while size < 200 * len(LINE):
        size += len(pipe.read())

    assert queue.stop(SECONDS)


def test_block_is_small_enough_to_be_written_as_a_whole() -> None:
    blocks: list[int] = []

    class Recorder(io.RawIOBase):
        def write(self, data: object) -> int:
            blocks.append(len(memoryview(data)))  # type: ignore[arg-type]
            time.sleep(0.001)  # so that lines come together
            return blocks[-1]

    queue = LineQueue(Recorder(), report)
    for _ in range(50):
        queue.put(LINE)
    queue.put("y" * 9000 + "\n")

    assert queue.stop(SECONDS)
    assert sum(blocks) == 50 * 1000 + 9001
    assert max(blocks[:-1]) == 4000
    assert blocks[-1] == 9001


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log"


@contextmanager
def logging_to(path: Path) -> Generator[LineHandler]:
    """Let the root logger write to a file in place of stdout."""
    with path.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", file)
        handler = make_handler()
        logging.getLogger().addHandler(handler)
        yield handler
        logging.getLogger().removeHandler(handler)


def written(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


log: Final = logging.getLogger("test").warning


def test_lines_are_queued_in_the_block_and_written_at_its_end(log_file: Path) -> None:
    with logging_to(log_file) as handler:
        log("at once")
        assert written(log_file) == ["at once"]
        with queued_lines():
            assert handler.is_queued
            with queued_lines():  # of an application that is mounted
                log("queued")
            assert handler.is_queued
            log("the last")
        assert not handler.is_queued
        assert written(log_file) == ["at once", "queued", "the last"]
        log("at once again")
        assert written(log_file)[-1] == "at once again"


def test_dropped_lines_are_reported_in_the_same_form(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logging_to(log_file), queued_lines():
        monkeypatch.setattr(line_queue, "MAX_BYTES", 10)
        log("longer than that")
        monkeypatch.undo()
        log("short")

    assert sorted(written(log_file)) == [
        "1 lines were dropped: the reader of the log was slow, or writing failed",
        "short",
    ]


def test_no_line_is_lost_when_the_queue_stops(log_file: Path) -> None:
    """Threads of the service may log while the last lines are written."""
    over = threading.Event()
    logged: list[str] = []

    def log_all_the_time() -> None:
        while not over.is_set():
            logged.append(f"line {len(logged)}")
            log(logged[-1])

    with logging_to(log_file):
        with queued_lines():
            thread = threading.Thread(target=log_all_the_time)
            thread.start()
            time.sleep(0.05)
        over.set()
        thread.join()

    assert written(log_file) == logged


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_process_that_was_forked_writes_at_once(log_file: Path) -> None:
    with logging_to(log_file), queued_lines():
        child = os.fork()
        if not child:
            log("of the child")
            os._exit(0)
        os.waitpid(child, 0)

    assert written(log_file) == ["of the child"]


def test_lines_of_several_threads_stay_whole(log_file: Path) -> None:
    def log_often() -> None:
        for number in range(200):
            log("line %d", number)

    with logging_to(log_file), queued_lines():
        threads = [threading.Thread(target=log_often) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(written(log_file)) == sorted(f"line {n}" for n in range(200) for _ in range(4))
