import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime

from app.core.pagination import KeysetPage, decode_cursor, encode_cursor
from app.core.types import Text
from app.exceptions import ValidationError

ids = st.integers(1, 2**53 - 1)
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


@given(title=texts, row_id=ids)
def test_cursor_brings_back_any_text(title: str, row_id: int) -> None:
    cursor = encode_cursor("title", title, row_id)

    assert decode_cursor(cursor, "title", Text) == (title, row_id)


@given(moment=st.datetimes(timezones=st.just(UTC)), row_id=ids)
def test_cursor_brings_back_any_moment_to_the_microsecond(moment: datetime, row_id: int) -> None:
    cursor = encode_cursor("-created_at", moment, row_id)

    assert decode_cursor(cursor, "-created_at", AwareDatetime) == (moment, row_id)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is not valid"):
        decode_cursor(text, "title", Text)


@pytest.mark.parametrize(
    "position",
    [
        ["-created_at", "yesterday", 1],
        ["-created_at", "2026-01-01T00:00:00", 1],
        ["-created_at", "2026-01-01T00:00:00Z", 0],
        ["-created_at", "2026-01-01T00:00:00Z", 2**53],
        ["-created_at", "2026-01-01T00:00:00Z"],
        {"sort": "-created_at"},
    ],
)
def test_forged_cursor_is_refused(position: Any) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()

    with pytest.raises(ValidationError, match="is not valid"):
        decode_cursor(cursor, "-created_at", AwareDatetime)


@pytest.mark.parametrize(
    ("rows", "items", "next_cursor"),
    [([], [], None), ([1], [1], None), ([1, 2], [1, 2], None), ([1, 2, 3], [1, 2], "after 2")],
)
def test_one_row_too_many_means_that_a_page_follows(
    rows: list[int], items: list[int], next_cursor: str | None
) -> None:
    assert KeysetPage.of(rows, 2, lambda row: f"after {row}") == KeysetPage(items, next_cursor)
