"""Keyset pagination: a page starts after the last row of the previous page.

The cursor holds that row's position in the sort order. So page 10,000 costs what page 1 costs, and
rows that are added or deleted meanwhile neither repeat nor hide others, as they would with OFFSET.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from app.core.types import Id
from app.exceptions import ValidationError

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class KeysetPage(Generic[ItemT]):
    """The rows of a page, and the cursor of the next page or None."""

    items: Sequence[ItemT]
    next_cursor: str | None

    @classmethod
    def of(
        cls, rows: Sequence[ItemT], limit: int, cursor_of: Callable[[ItemT], str]
    ) -> "KeysetPage[ItemT]":
        """Return a page of up to `limit` rows. Pass one row more if there is a next page."""
        items = rows[:limit]
        return cls(items, cursor_of(items[-1]) if len(rows) > limit else None)


@dataclass(frozen=True)
class OffsetPage(Generic[ItemT]):
    """The rows of a page that is found by its number, and how many rows all pages have.

    For short lists, where people jump to a page: see docs/patterns/joined-values.md.
    """

    items: Sequence[ItemT]
    total: int


NumberedPage = OffsetPage  # the name until 0.4, for projects that import it; goes in 0.6


def encode_cursor(sort: str, value: object, row_id: int) -> str:
    """Return the position of a row in the order `sort`, as opaque text for clients."""
    if isinstance(value, Decimal):
        value = f"{value:f}"  # as `ExactDecimal` has it: not `0E-8`
    position = to_json((sort, value, row_id))
    return base64.urlsafe_b64encode(position).rstrip(b"=").decode()


def decode_cursor(cursor: str, sort: str, value_type: Any) -> tuple[Any, int]:
    """Return the sort value, of type `value_type`, and the row id that a cursor holds.

    Raises `ValidationError` for an invalid cursor, or for one of another sort order.
    """
    try:
        position = base64.b64decode(
            cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        cursor_sort, value, row_id = _adapter(value_type).validate_json(position)
    except (ValueError, OverflowError):
        raise ValidationError(
            f"The cursor {cursor!r} is not valid; pass next_cursor of the previous page, or omit it"
        ) from None
    if cursor_sort != sort:
        raise ValidationError(
            f"The cursor is for the order {cursor_sort!r}, not {sort!r}; start again without it"
        )
    return value, row_id


@cache
def _adapter(value_type: Any) -> TypeAdapter[tuple[str, Any, int]]:
    return TypeAdapter(tuple[str, value_type, Id])
