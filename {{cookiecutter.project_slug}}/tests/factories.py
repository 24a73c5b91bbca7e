from itertools import count
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.models.post import Post
from app.models.user import User

RowT = TypeVar("RowT", User, Post)

_numbers = count(1)


class Factory:
    """Rows with sensible values, committed at once so that requests see them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def user(self, **values: Any) -> User:
        number = next(_numbers)
        return await self._save(
            User(
                **{"email": f"user{number}@example.com", "display_name": f"User {number}"} | values
            )
        )

    async def post(self, author: User | None = None, **values: Any) -> Post:
        author = author or await self.user()
        number = next(_numbers)
        defaults = {"author_id": author.id, "title": f"Title {number}", "body": f"Body {number}"}
        return await self._save(Post(**defaults | values))

    async def _save(self, row: RowT) -> RowT:
        self._session.add(row)
        await self._session.commit()
        return row
