"""The log: one event a line, as JSON, or readable and coloured on a terminal.

All loggers of the process write here, those of servers and libraries too. A client's text cannot forge
a line. The supervisor of several workers imports this module, so it imports little.
"""

import json
import logging
import logging.config
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Literal

from app.core.env_file import configured
from app.core.observability.line_queue import LineQueue
from app.core.observability.shutdown import ShutdownDeadline

# Functions that return fields of a line, such as the id of the request. They are called where it is logged.
LINE_CONTEXT: Final[list[Callable[[], Mapping[str, object]]]] = []

_ENCODE: Final = json.JSONEncoder(default=str, allow_nan=False).encode

# What a record has besides the fields of `extra`. Uvicorn adds a message with colours.
_STANDARD: Final = {
    *vars(logging.makeLogRecord({})),
    *("asctime", "color_message", "line_context", "message", "taskName"),
}

_COLOURS: Final = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 91}

# The query of a URL or of a path: what follows the first ? of a word that has a slash before it. Its values may
# be secrets, such as the key of a WebSocket. Quotes do not end it, because clients may write them there. Each
# word is searched from its start alone, because clients choose how many slashes it has.
_QUERY: Final = re.compile(r"""(?<![^\s?])([^\s?/]*/[^\s?]*)\?\S*[^\s"']""")

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
    if error.exc_type is not SystemExit:  # which ends a thread without a word
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

    What is queued at the end is written then, until the deadline.
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


class EscapedRecord(logging.LogRecord):
    """A log record whose texts are escaped before any handler or formatter sees them.

    Characters that are not printable are escaped: line breaks, sequences for terminals, characters
    that hide or reorder text. The message's template is kept as the developer wrote it. A message
    without arguments, such as a server's traceback, keeps its line breaks: every line but the first
    is indented, and so is every line of an exception. What packages other than the project log of a
    URL is without its query.

    `line_context` holds the fields that the functions of `LINE_CONTEXT` returned.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.args, tuple):  # formatters read them too: Uvicorn's, for requests
            self.args = tuple([escape(arg) if isinstance(arg, str) else arg for arg in self.args])
        if self.exc_info and self.exc_info[0]:
            # Formatters print this text rather than formatting the exception themselves.
            text = logging.Formatter().formatException(self.exc_info)
            self.exc_text = "    " + _indented(escape(text, keep="\n"))
        self.line_context: dict[str, object] = {}
        for fields in LINE_CONTEXT:
            self.line_context.update(fields())

    def getMessage(self) -> str:  # noqa: N802 (the name of the standard library)
        keep = str(self.msg) if self.args else "\n"
        message = super().getMessage().rstrip("\n")
        if "?" in message and self.name.partition(".")[0] != "app":
            message = _QUERY.sub(r"\1?REDACTED", message)
        return _indented(escape(message, keep))


def escape(text: str, keep: str = "") -> str:
    r"""Escape characters that are not printable as Python does (`\n`), except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode()
        for character in text
    )


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _fields(record: logging.LogRecord, taken: Collection[str] = ()) -> dict[str, object]:
    """Return the fields of a line: those of its context, and those that the caller gave as `extra`."""
    given = {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and name not in taken
    }
    context: dict[str, object] = getattr(record, "line_context", {})
    return context | given


def _time(record: logging.LogRecord) -> str:
    """Return when a record was made, in UTC (RFC 3339)."""
    return f"{_second(int(record.created))}.{int(record.msecs):03}Z"


@lru_cache(maxsize=1)  # most lines are of the same second as the one before
def _second(number: int) -> str:
    return datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class JSONFormatter(logging.Formatter):
    """Formats a record as one JSON object, in ASCII.

    `time`, `level`, `logger` and `message` come first. `exception` is the traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().replace("\n    ", "\n"),
        }
        line.update(_fields(record, taken=line))
        if record.exc_text:  # escaped by `EscapedRecord`
            line["exception"] = record.exc_text.removeprefix("    ").replace("\n    ", "\n")
        if record.stack_info:
            line["stack"] = record.stack_info
        try:
            return _ENCODE(line)
        except (TypeError, ValueError):
            return _ENCODE({name: _encodable(value) for name, value in line.items()})


def _encodable(value: object) -> object:
    """Return a value, or its text if JSON has none of the kind: NaN, a tuple as a key, a cycle."""
    try:
        _ENCODE(value)
    except (TypeError, ValueError):
        return str(value)
    return value


class ConsoleFormatter(logging.Formatter):
    """Formats a record for people: time (UTC), level, logger, message, and the fields in grey."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        level = self._in_colour(_COLOURS.get(record.levelname, 0), f"{record.levelname:8}")
        fields = " ".join(f"{name}={_readable(value)}" for name, value in _fields(record).items())
        message = record.getMessage()
        line = f"{self._in_colour(90, _time(record))} {level} {self._in_colour(90, record.name)} {message}"
        if fields:
            line += f" {self._in_colour(90, fields)}"
        below = [text for text in (record.exc_text, record.stack_info) if text]
        return "\n".join([line, *below])

    def _in_colour(self, number: int, text: str) -> str:
        return f"\x1b[{number}m{text}\x1b[0m" if self._coloured else text


def _readable(value: object) -> str:
    """Return a value so that it cannot be taken for several fields."""
    text = escape(str(value))
    is_plain = text and not any(character in ' "=' for character in text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)


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

        Whoever logs meanwhile waits. If the reader does not read for `seconds`, the queue stays, because
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
