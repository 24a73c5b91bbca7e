"""Keyset pagination: a page starts after the last row of the page before.

The cursor holds that row's place in the order, so page 10,000 costs what page 1 costs, and rows
that come or go in between neither repeat nor hide others, as they would with OFFSET.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from app.core.types import Id
from app.exceptions import ValidationError

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class KeysetPage(Generic[ItemT]):
    """The rows of one page, and the cursor of the next page, if there is one."""

    items: Sequence[ItemT]
    next_cursor: str | None

    @classmethod
    def of(
        cls, rows: Sequence[ItemT], limit: int, cursor_of: Callable[[ItemT], str]
    ) -> "KeysetPage[ItemT]":
        """Make a page of at most `limit` rows; one row more than that says that others follow."""
        items = rows[:limit]
        return cls(items, cursor_of(items[-1]) if len(rows) > limit else None)


def encode_cursor(sort: str, value: object, row_id: int) -> str:
    """Write down the place of a row in the order `sort`, as text that clients pass back as it is."""
    position = to_json((sort, value, row_id))
    return base64.urlsafe_b64encode(position).rstrip(b"=").decode()


def decode_cursor(cursor: str, sort: str, value_type: Any) -> tuple[Any, int]:
    """Return the sort value, of the type given, and the id of the row that a cursor stands for.

    Raises `ValidationError` for a text that this service did not make, or made for another order.
    """
    try:
        position = base64.b64decode(
            cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        made_for, value, row_id = _adapter(value_type).validate_json(position)
    except (ValueError, OverflowError):
        raise ValidationError(
            f"Cursor {cursor!r} is not one of ours; pass next_cursor of the page before, or none"
        ) from None
    if made_for != sort:
        raise ValidationError(
            f"The cursor was made for the order {made_for!r}, not {sort!r}; start again without it"
        )
    return value, row_id


@cache
def _adapter(value_type: Any) -> TypeAdapter[tuple[str, Any, int]]:
    return TypeAdapter(tuple[str, value_type, Id])
