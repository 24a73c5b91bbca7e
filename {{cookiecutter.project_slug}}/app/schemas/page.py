from typing import Generic, TypeVar

from pydantic import Field

from app.schemas.base import ResponseBody

ItemT = TypeVar("ItemT")


class Page(ResponseBody, Generic[ItemT]):
    """One page of a list. The `Link` header holds the next page's address as well."""

    items: list[ItemT]
    next_cursor: str | None = Field(
        description="Pass it as `cursor` to read the next page; null on the last page."
    )
