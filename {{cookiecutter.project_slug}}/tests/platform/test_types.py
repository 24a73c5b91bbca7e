import sys
import unicodedata

import pytest
from pydantic import TypeAdapter, ValidationError

from app.core.types import LineText

LINE = TypeAdapter(LineText)
JOINERS = "\u200c\u200d"


def is_line(text: str) -> bool:
    try:
        LINE.validate_python(text)
    except ValidationError:
        return False
    return True


def test_line_has_no_character_that_ends_lines_or_hides_text() -> None:
    characters = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) != "Cs"]
    refused = {c for c in characters if not is_line(f"a{c}b")}
    unseen = {c for c in characters if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}}

    assert unseen - refused == set(JOINERS)
    # Not yet assigned, but reserved for more of them.
    assert {unicodedata.category(c) for c in refused - unseen} <= {"Cn"}


@pytest.mark.parametrize(
    "text",
    [
        "Ann O'Neil",
        "👩\u200d💻 at work",
        "🏴\u200d☠️",
        "می\u200cخواهم",
        "שלום",
        "مرحبا",
        "日本\u3000語",
        "a\u00a0b",
    ],
)
def test_line_may_be_in_any_script_and_hold_emoji(text: str) -> None:
    assert is_line(text)


@pytest.mark.parametrize("text", ["", " ", "\u3000", JOINERS, "a\n", "\nb"])
def test_line_is_not_blank(text: str) -> None:
    assert not is_line(text)
