from collections.abc import Mapping
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Base
from app.models.user import User

RowT = TypeVar("RowT", bound=Base)

_numbers = count(1)


class Factory:
    """Writes rows, and commits at once so that requests see them.

    `await make(Article(title="Title"))` writes any row. For default values, write a function such
    as `make_post` in `tests/post_factory.py`.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def __call__(self, row: RowT) -> RowT:
        self._session.add(row)
        await self._session.commit()
        return row

    async def insert(self, table: Table, values: Mapping[str, Any]) -> None:
        """Write a row of a table without a model."""
        await self._session.execute(insert(table), values)
        await self._session.commit()

    async def user(self, **values: Any) -> User:
        number = unique_number()
        defaults = {"email": f"user{number}@example.com", "display_name": f"User {number}"}
        return await self(User(**defaults | values))


def unique_number() -> int:
    """Return a number that was not returned before."""
    return next(_numbers)
