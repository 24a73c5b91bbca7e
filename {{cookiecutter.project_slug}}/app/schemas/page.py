from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from app.core.types import Text
from app.schemas.base import ResponseBody

ItemT = TypeVar("ItemT")


class PageQuery(BaseModel):
    """Query parameters of a list."""

    limit: int = Field(default=20, ge=1, le=100, description="Maximum number of items.")
    cursor: Text | None = Field(
        default=None, max_length=5000, description="`next_cursor` of the previous page."
    )


class NumberedPage(ResponseBody, Generic[ItemT]):
    """One page of a list whose pages have numbers."""

    items: list[ItemT]
    total: int = Field(description="Number of items on all pages.")


class Page(ResponseBody, Generic[ItemT]):
    """One page of a list. The `Link` header holds the URL of the next page."""

    items: list[ItemT]
    next_cursor: str | None = Field(
        description="Pass it as `cursor` to read the next page; null on the last page."
    )
