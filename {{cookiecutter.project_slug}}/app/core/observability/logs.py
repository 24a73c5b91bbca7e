"""The log: one event a line, as JSON, or readable and coloured on a terminal.

All loggers of the process write here, those of servers and libraries too. A client's text cannot forge
a line. The supervisor of several workers imports this module, so it imports little.
"""

import logging
import logging.config
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Literal

from app.core.env_file import configured
from app.core.observability.line_formats import ConsoleFormatter, EscapedRecord, JSONFormatter
from app.core.observability.line_queue import LineQueue
from app.core.observability.shutdown import ShutdownDeadline

# Uvicorn's messages go where all others go, and its access log nowhere: `request_log` replaces it.
_LOGGERS: Final = {
    "uvicorn": {"level": "INFO", "propagate": True},
    "uvicorn.access": {"propagate": False},
}

Stream = Literal["stdout", "stderr"]


def configure_logging(stream: Stream = "stdout") -> None:
    """Let all loggers of the process write lines to `stream`, which a client's text cannot forge.

    Repeating the call changes nothing. `LOG_FORMAT` is read here, without the other settings, because
    their errors are logged as well. Warnings and errors that Python prints to stderr are lines, too,
    unless something else has hooks of its own for them.
    """
    logging.setLogRecordFactory(EscapedRecord)
    logging.captureWarnings(capture=True)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_error_of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _log_error_that_has_no_caller
    # Incremental: other loggers, such as those of gunicorn, stay as they are.
    logging.config.dictConfig({"version": 1, "incremental": True, "loggers": _LOGGERS})
    for logger in map(logging.getLogger, _LOGGERS):
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
    if not _line_handlers():
        logging.getLogger().addHandler(make_handler(stream))


def _log_error_of_thread(error: threading.ExceptHookArgs) -> None:
    if error.exc_type is not SystemExit:  # which ends a thread silently
        name = error.thread.name if error.thread else "unknown"
        _log_error("Unexpected error in the thread %s", name, error.exc_value, error.exc_traceback)


def _log_error_that_has_no_caller(error: "sys.UnraisableHookArgs") -> None:
    where = f"{error.err_msg or 'Exception ignored in'}: {error.object!r}"
    _log_error("%s", where, error.exc_value, error.exc_traceback)


def _log_error(
    message: str, argument: str, error: BaseException | None, traceback: TracebackType | None
) -> None:
    found = (type(error), error, traceback) if error else None
    logging.getLogger(__name__).error(message, argument, exc_info=found)


def make_handler(stream: Stream = "stdout") -> "LineHandler":
    """Return a handler for the root logger."""
    logging.setLogRecordFactory(EscapedRecord)
    given = configured("LOG_FORMAT")
    name = given[0].strip().lower() if given else "auto"
    is_terminal = getattr(sys, stream).isatty()
    handler = LineHandler(stream)
    if name == "console" or (name != "json" and is_terminal):
        coloured = is_terminal and not os.environ.get("NO_COLOR")
        handler.setFormatter(ConsoleFormatter(coloured=coloured))
    else:
        handler.setFormatter(JSONFormatter())
    return handler


def _line_handlers() -> "list[LineHandler]":
    return [one for one in logging.getLogger().handlers if isinstance(one, LineHandler)]


def dropped_lines() -> int:
    """Return how many lines were dropped: the reader of the log was slow, or writing failed."""
    return sum(handler.dropped for handler in _line_handlers())


@contextmanager
def queued_lines(deadline: ShutdownDeadline | None = None) -> Generator[None]:
    """Write lines in a thread within the block, so that a slow reader keeps no request waiting.

    Lines that are still queued at the end are written then, until the deadline.
    """
    deadline = deadline or ShutdownDeadline()
    handlers = [handler for handler in _line_handlers() if not handler.is_queued]
    for handler in handlers:
        handler.start_queue()
    try:
        yield
    finally:
        for handler in handlers:
            handler.stop_queue(deadline.remaining())


class LineHandler(logging.Handler):
    """Writes a line for each record to stdout or stderr: at once, or by a queue while there is one."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._queue: LineQueue | None = None

    @property
    def is_queued(self) -> bool:
        """Whether lines are queued."""
        return self._queue is not None

    @property
    def dropped(self) -> int:
        """How many lines of the queue were dropped."""
        return self._queue.dropped if self._queue else 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            if self._queue is None or not self._queue.put(line):
                stream = getattr(sys, self._stream)
                stream.write(line)
                stream.flush()
        except Exception:  # noqa: BLE001 - as the handlers of the standard library do
            self.handleError(record)

    def start_queue(self) -> None:
        """Queue the lines from now on."""
        stream = getattr(sys, self._stream)
        stream.flush()
        try:
            number = stream.fileno()
        except (OSError, ValueError):  # replaced by something else, as in tests
            return
        file = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - it is not closed
        self._queue = LineQueue(file, self._dropped)

    def stop_queue(self, seconds: float) -> None:
        """Write what is queued, then each line at once again.

        Callers that log meanwhile wait. If the reader does not read for `seconds`, the queue stays, because
        writing would block.
        """
        self.acquire()  # a line that is queued behind the last one would be lost
        try:
            if self._queue and self._queue.stop(seconds):
                self._queue = None
        finally:
            self.release()

    def _dropped(self, number: int) -> str:
        """Return the line that says how many lines were dropped."""
        record = logging.getLogger(__name__).makeRecord(
            __name__,
            logging.WARNING,
            __file__,
            0,
            "%d lines were dropped: the reader of the log was slow, or writing failed",
            (number,),
            None,
        )
        return self.format(record) + "\n"
