"""The query parameters of every list."""

from typing import Annotated

from fastapi import Query

from app.core.types import Text

PageLimit = Annotated[int, Query(ge=1, le=100, description="Maximum number of items.")]
PageCursor = Annotated[
    Text | None, Query(max_length=2000, description="`next_cursor` of the previous page.")
]
