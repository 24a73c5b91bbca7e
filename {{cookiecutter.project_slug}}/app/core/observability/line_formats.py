"""Lines of the log: records whose texts are escaped, and their forms, JSON or for people.

The supervisor of several workers imports this module, so it imports little.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

# Functions that return fields of a line, such as the id of the request. They are called where the line is
# logged.
LINE_CONTEXT: Final[list[Callable[[], Mapping[str, object]]]] = []

_ENCODE: Final = json.JSONEncoder(default=str, allow_nan=False).encode

# The attributes of a record that are not fields of `extra`. Uvicorn adds a message with colours.
_STANDARD: Final = {
    *vars(logging.makeLogRecord({})),
    *("asctime", "color_message", "line_context", "message", "taskName"),
}

_COLOURS: Final = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 91}

# The query of a URL or path: what follows the first `?` of a word that has a slash before it. It may hold
# secrets, such as the key of a WebSocket. Quotes do not end it, because clients may send them. The search
# begins only where a word begins; otherwise a path of many slashes would take quadratic time.
_QUERY: Final = re.compile(r"""(?<![^\s?])([^\s?/]*/[^\s?]*)\?\S*[^\s"']""")


class EscapedRecord(logging.LogRecord):
    """A log record whose texts are escaped before any handler or formatter sees them.

    Characters that are not printable are escaped: line breaks, sequences for terminals, characters
    that hide or reorder text. The message's template is kept as the developer wrote it. A message
    without arguments, such as a server's traceback, keeps its line breaks: every line but the first
    is indented, and so is every line of an exception. URLs lose their query in exceptions, and in
    the messages of other packages.

    `line_context` holds the fields that the functions of `LINE_CONTEXT` returned.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.args, tuple):  # formatters read them too: Uvicorn's, for requests
            self.args = tuple([escape(arg) if isinstance(arg, str) else arg for arg in self.args])
        if self.exc_info and self.exc_info[0]:
            # Formatters print this text rather than formatting the exception themselves.
            text = logging.Formatter().formatException(self.exc_info)
            self.exc_text = "    " + _indented(_without_queries(escape(text, keep="\n")))
        self.line_context: dict[str, object] = {}
        for fields in LINE_CONTEXT:
            self.line_context.update(fields())

    def getMessage(self) -> str:  # noqa: N802 (the name of the standard library)
        keep = str(self.msg) if self.args else "\n"
        message = super().getMessage().rstrip("\n")
        if self.name.partition(".")[0] != "app":
            message = _without_queries(message)
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


def _without_queries(text: str) -> str:
    # Most texts have no `?`, and cost no search.
    return _QUERY.sub(r"\1?REDACTED", text) if "?" in text else text


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


@lru_cache(maxsize=1)  # most lines have the same second as the one before
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
    """Return a value, or its text if JSON cannot represent it: NaN, a tuple as a key, a cycle."""
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
