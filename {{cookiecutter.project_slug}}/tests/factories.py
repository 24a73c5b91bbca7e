from itertools import count
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Base
from app.models.user import User

RowT = TypeVar("RowT", bound=Base)

_numbers = count(1)


class Factory:
    """Writes rows, and commits at once so that requests see them.

    `await make(Article(title="Title"))` writes any row. A function beside a resource's tests gives
    its rows sensible values.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def __call__(self, row: RowT) -> RowT:
        self._session.add(row)
        await self._session.commit()
        return row

    async def user(self, **values: Any) -> User:
        number = unique_number()
        defaults = {"email": f"user{number}@example.com", "display_name": f"User {number}"}
        return await self(User(**defaults | values))


def unique_number() -> int:
    """Return a number that no other row has got."""
    return next(_numbers)
