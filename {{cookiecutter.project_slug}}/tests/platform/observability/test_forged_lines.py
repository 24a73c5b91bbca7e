"""Whatever a client sends, it cannot write a line of the log, whichever handler prints it."""

import io
import logging
import sys
import unicodedata

import pytest
from uvicorn.logging import AccessFormatter, DefaultFormatter

from app.core.observability.logs import configure_logging

FORGERIES = [
    "x\nINFO:     app.users: deleted user_id=1",
    "x\r\nINFO:     app.users: deleted user_id=1",
    "x\x1b[2K\x1b[1GINFO:     app.users: deleted user_id=1",
    "x\x9b2K",
    "x\x85INFO:     app.users: deleted",
    "x\u2028INFO:     app.users: deleted",
    "x\u202e1=di_resu",
    "x\udc80",
]
PLAIN = logging.Formatter("%(levelname)s:     %(name)s: %(message)s")

forged = pytest.mark.parametrize("forgery", FORGERIES, ids=ascii)


@pytest.fixture(autouse=True)
def escaping() -> None:
    configure_logging()


def printed(
    formatter: logging.Formatter, message: str, *args: object, exc_info: bool = False
) -> list[str]:
    """Return the lines that a handler with this formatter prints for a message."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.info(message, *args, exc_info=exc_info)
    return stream.getvalue().removesuffix("\n").split("\n")


@forged
@pytest.mark.parametrize("formatter", [PLAIN, DefaultFormatter(use_colors=False)])
def test_argument_stays_in_its_line(formatter: logging.Formatter, forgery: str) -> None:
    (line,) = printed(formatter, "post %s by %s", 1, forgery)

    assert line.isprintable()
    assert line.endswith(ascii(forgery)[1:-1])


@forged
def test_argument_of_any_type_does(forgery: str) -> None:
    (line,) = printed(PLAIN, "failed: %s", ValueError(forgery))

    assert line.isprintable()


@forged
def test_field_of_an_access_log_does(forgery: str) -> None:
    formatter = AccessFormatter('%(client_addr)s "%(request_line)s"', use_colors=False)
    (line,) = printed(
        formatter, '%s - "%s %s HTTP/%s" %d', forgery, "GET", f"/{forgery}", "1.1", 200
    )

    assert line.isprintable()


@forged
def test_text_of_an_exception_starts_no_line(forgery: str) -> None:
    try:
        raise ValueError(forgery)
    except ValueError:
        first, *others = printed(PLAIN, "failed", exc_info=True)

    assert first == "INFO:     test: failed"
    assert others[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in others)


def test_message_of_a_server_keeps_its_lines_and_colors() -> None:
    assert printed(PLAIN, "Traceback:\n  File\nINFO: x\n") == [
        "INFO:     test: Traceback:",
        "      File",
        "    INFO: x",
    ]
    assert printed(PLAIN, "\x1b[36m%d\x1b[0m", 7) == ["INFO:     test: \x1b[36m7\x1b[0m"]


def test_texts_in_any_script_stay_readable() -> None:
    assert printed(PLAIN, "%s", "שלום, 日本 é") == ["INFO:     test: שלום, 日本 é"]


def test_every_character_that_ends_or_hides_text_is_escaped() -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    hostile = [c for c in characters if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    (line,) = printed(PLAIN, "%s", "".join(hostile))

    assert line.isprintable()
