"""The query parameters of lists, for those that take them one by one.

Reading them into a model, such as `PageQuery`, takes longer (see docs/decisions/0006).
"""

from typing import Annotated, Final

from fastapi import Query

from app.core.types import Text

# PostgreSQL reads all rows of the pages before. For more of them a list needs a cursor.
MAX_PAGE: Final = 100

PageLimit = Annotated[int, Query(ge=1, le=100, description="Maximum number of items.")]
PageCursor = Annotated[
    Text | None, Query(max_length=5000, description="`next_cursor` of the previous page.")
]
PageNumber = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Number of the page, from 1.")]
