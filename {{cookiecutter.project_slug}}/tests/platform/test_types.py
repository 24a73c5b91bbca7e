"""Field types."""

from typing import Annotated, Any

import pytest
from pydantic import StringConstraints, TypeAdapter, ValidationError

from app.core.types import Id, Visible, VisibleText

FIELDS: list[Any] = [
    Annotated[VisibleText, StringConstraints(pattern=r"^[a-z ]*$", max_length=5)],
    Annotated[str, StringConstraints(pattern=r"^[a-z ]*$", max_length=5), Visible()],
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", ["", "  ", "A", "a\0", "too long", "\u200b"])
def test_pattern_and_visible_text_hold_beside_each_other(field: Any, value: str) -> None:
    adapter = TypeAdapter(field)
    assert adapter.validate_python("a b") == "a b"
    with pytest.raises(ValidationError):
        adapter.validate_python(value)


def test_document_shows_both_patterns_and_the_length() -> None:
    schema = TypeAdapter(FIELDS[1]).json_schema()

    assert (schema["pattern"], schema["maxLength"]) == (r"^[a-z ]*$", 5)
    assert schema["allOf"] == [{"pattern": TypeAdapter(VisibleText).json_schema()["pattern"]}]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (" \t\u3000", "Text must have a visible character"),
        ("a\0b", "Text must not contain NUL characters"),
    ],
)
def test_refused_text_is_answered_by_a_sentence(value: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        TypeAdapter(VisibleText).validate_python(value)

    assert refusal.value.errors()[0]["msg"] == sentence


def test_id_is_a_64_bit_integer() -> None:
    schema = TypeAdapter(Id).json_schema()

    assert (schema["type"], schema["format"]) == ("integer", "int64")
