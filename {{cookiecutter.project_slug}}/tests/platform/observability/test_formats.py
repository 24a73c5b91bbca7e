"""One event a line: JSON for programs, readable for people, and forged by nobody."""

import io
import json
import logging
import math
import os
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from app.core.env_file import PROJECT
from app.core.observability.line_formats import (
    LINE_CONTEXT,
    ConsoleFormatter,
    EscapedRecord,
    JSONFormatter,
)
from app.core.observability.logs import configure_logging, make_handler

FORGERIES = [
    'x\n{"level": "info", "message": "deleted"}',
    'x", "level": "info',
    "x\x1b[2K\x1b[1G",
    "x\x9b2K",
    "x\u2028y\u202ez",
    "x\udc80",
    'x" user_id=1 y="',
]


@pytest.fixture(autouse=True)
def escaping() -> None:
    logging.setLogRecordFactory(EscapedRecord)


def printed(formatter: logging.Formatter, message: str, *args: object, **options: Any) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.info(message, *args, **options)
    return stream.getvalue()


@pytest.mark.parametrize("forgery", FORGERIES, ids=ascii)
def test_value_forges_neither_a_line_nor_a_field(forgery: str) -> None:
    extra = {"value": forgery, "values": [forgery], "object": ValueError(forgery)}
    line = printed(JSONFormatter(), "by %s", forgery, extra=extra)

    assert line.count("\n") == 1
    assert line.isascii()
    assert line.removesuffix("\n").isprintable()
    found = json.loads(line)
    assert found["level"] == "info"
    assert found["value"] == forgery.encode("utf-16", "surrogatepass").decode(
        "utf-16", "surrogatepass"
    )
    for formatter in (ConsoleFormatter(coloured=False), ConsoleFormatter(coloured=True)):
        text = printed(formatter, "by %s", forgery, extra=extra)
        for number in (32, 90, 0):
            text = text.replace(f"\x1b[{number}m", "")
        assert text.removesuffix("\n").isprintable()
        assert " user_id=1 " not in text.replace('\\" user_id=1 ', "").partition("value=")[2]


def test_exception_is_a_field() -> None:
    try:
        raise ValueError("x\ny")
    except ValueError:
        line = printed(JSONFormatter(), "failed", exc_info=True)
        text = printed(ConsoleFormatter(coloured=False), "failed", exc_info=True)

    found = json.loads(line)
    assert found["message"] == "failed"
    assert found["exception"].startswith("Traceback (most recent call last):\n  File ")
    assert found["exception"].endswith("ValueError: x\ny")
    assert text.splitlines()[1] == "    Traceback (most recent call last):"


def test_fields_replace_none_of_the_standard_ones() -> None:
    found = json.loads(printed(JSONFormatter(), "x", extra={"level": "error", "time": 0, "a": 1}))

    assert (found["level"], found["a"]) == ("info", 1)
    assert found["time"] != 0


cycle: list[object] = []
cycle.append(cycle)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({1}, "{1}"),
        ({"a": {1}}, {"a": "{1}"}),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (math.nan, "nan"),
        ([-math.inf], "[-inf]"),
        (cycle, "[[...]]"),
    ],
    ids=str,
)
def test_value_that_json_does_not_know_is_its_text(value: object, written: object) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    line = printed(JSONFormatter(), "x", extra={"a": value, "b": [1]})
    found = json.loads(line, parse_constant=refuse)

    assert (found["message"], found["a"], found["b"]) == ("x", written, [1])


def test_texts_of_people_stay_readable_on_the_console() -> None:
    text = printed(ConsoleFormatter(coloured=False), "%s", "日本", extra={"name_": "שלום é"})

    assert text.endswith(' INFO     test 日本 name_="שלום é"\n')


def test_context_is_that_of_where_the_line_was_logged() -> None:
    LINE_CONTEXT.append(lambda: {"trace_id": "abc"})
    record = logging.getLogRecordFactory()("x", logging.INFO, "", 0, "x", (), None)
    LINE_CONTEXT.pop()

    assert json.loads(JSONFormatter().format(record))["trace_id"] == "abc"


@pytest.mark.parametrize(
    ("given", "variables", "on_terminal", "elsewhere"),
    [
        ("", {}, "coloured", "json"),
        ("auto", {}, "coloured", "json"),
        ("", {"NO_COLOR": "1"}, "plain", "json"),
        ("json", {}, "json", "json"),
        ("CONSOLE", {}, "coloured", "plain"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_form_follows_the_setting_and_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    variables: dict[str, str],
    on_terminal: str,
    elsewhere: str,
) -> None:
    for name, value in {"LOG_FORMAT": given, "NO_COLOR": "", **variables}.items():
        monkeypatch.setenv(name, value)
    ends = os.openpty(), os.pipe()
    found = []
    for _, writer in ends:
        with open(writer, "w", closefd=False) as file:
            monkeypatch.setattr(sys, "stdout", file)
            record = logging.LogRecord("test", logging.INFO, "", 0, "hello", (), None)
            line = make_handler().format(record)
            found.append(
                "json" if line[0] == "{" else "coloured" if "\x1b[32m" in line else "plain"
            )
    for end in (*ends[0], *ends[1]):
        os.close(end)

    assert found == [on_terminal, elsewhere]


@pytest.mark.parametrize(
    ("logger", "message", "arguments", "shown"),
    [
        (
            "uvicorn.error",
            '%s - "WebSocket %s" [accepted]',
            ("127.0.0.1:5", "/ws?key=hunter2&x=/y"),
            '127.0.0.1:5 - "WebSocket /ws?REDACTED" [accepted]',
        ),
        (
            "uvicorn.error",
            '%s - "WebSocket %s" 403',
            ("127.0.0.1:5", "/it's?a='&b=\"&key=hunter2"),
            '127.0.0.1:5 - "WebSocket /it\'s?REDACTED" 403',
        ),
        (
            "httpx",
            'HTTP Request: %s %s "%s"',
            ("GET", httpx.URL("https://example.com/x?key=hunter2"), "HTTP/1.1 200 OK"),
            'HTTP Request: GET https://example.com/x?REDACTED "HTTP/1.1 200 OK"',
        ),
        (
            "urllib3.connectionpool",
            "Retrying after connection broken by '%r': %s",
            (OSError("x"), "/api/1/envelope/?sentry_key=hunter2"),
            "Retrying after connection broken by 'OSError('x')': /api/1/envelope/?REDACTED",
        ),
        ("asyncio", "Task /x is %s", ("late?",), "Task /x is late?"),
        ("app.things", "GET %s", ("/x?page=1",), "GET /x?page=1"),
    ],
)
def test_other_packages_log_urls_without_their_query(
    logger: str, message: str, arguments: tuple[object, ...], shown: str
) -> None:
    record = logging.getLogger(logger).makeRecord(
        logger, logging.INFO, "", 0, message, arguments, None
    )
    assert json.loads(JSONFormatter().format(record))["message"] == shown


@pytest.mark.parametrize("formatter", [JSONFormatter(), ConsoleFormatter(coloured=False)])
def test_exception_shows_urls_without_their_query(formatter: logging.Formatter) -> None:
    request = httpx.Request("GET", "https://api.example.com/x?key=hunter2")
    try:
        httpx.Response(401, request=request).raise_for_status()
    except httpx.HTTPStatusError:
        line = printed(formatter, "Cannot call /x?page=1", exc_info=True)

    assert "hunter2" not in line
    assert "for url 'https://api.example.com/x?REDACTED'" in line


def test_query_is_found_in_time_whatever_the_client_sends() -> None:
    path = f"/ws?a='{'/' * 50_000}"
    record = EscapedRecord("uvicorn.error", logging.INFO, "", 0, "%s", (path,), None)
    began = time.process_time()
    record.getMessage()
    assert time.process_time() - began < 1


def test_what_python_prints_itself_is_a_line() -> None:
    code = """
import sys, threading, warnings
from app.core.observability.logs import configure_logging

class Broken:
    def __del__(self):
        raise LookupError("without a caller")

configure_logging()
warnings.warn("some\\nwarning", UserWarning)
Broken()
for work in (lambda: 1 / 0, sys.exit):
    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
"""
    completed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=os.environ | {"LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.stderr == ""
    warning, ignored, error = map(json.loads, completed.stdout.splitlines())
    assert warning["logger"] == "py.warnings"
    assert "UserWarning: some" in warning["message"]
    assert "Broken.__del__" in ignored["message"]
    assert ignored["exception"].endswith("LookupError: without a caller")
    assert error["message"] == "Unexpected error in the thread worker"
    assert error["exception"].endswith("ZeroDivisionError: division by zero")


def test_log_of_servers_goes_the_same_way_and_their_access_log_nowhere() -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    for name in ("uvicorn", "uvicorn.access"):
        logging.getLogger(name).addHandler(logging.StreamHandler())
    configure_logging()
    configure_logging()

    assert len([handler for handler in root.handlers if handler not in before]) == 1
    assert (
        logging.getLogger("uvicorn.error").handlers == logging.getLogger("uvicorn").handlers == []
    )
    assert logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)
    assert not logging.getLogger("uvicorn.access").hasHandlers()
