from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, insert, select
from sqlalchemy.orm import raiseload

from app.models.user import User
from app.repositories.base import Repository, containing, contains, for_update, keyset

# raiseload: accessing what a statement has not loaded raises an error instead of querying.
USERS: Final = select(User).options(raiseload("*"))
# Statements are built once, because building them is slow (see docs/decisions/0006).
_BY_ID: Final = USERS.where(User.id == bindparam("user_id"))
_FOR_UPDATE: Final = for_update(_BY_ID)


@cache
def _page(filters: frozenset[str], *, after: bool) -> Select[User]:
    """Build the statement of a list on first use."""
    statement = USERS.where(*map(_condition, sorted(filters)))
    return keyset(statement, User.id.expression, after=after)


def _condition(name: str) -> ColumnElement[bool]:
    """Return the condition of a filter: `pattern`, or the name of a column."""
    if name == "pattern":
        return contains(User.email) | contains(User.display_name)
    return User.__table__.columns[name] == bindparam(name)


class UserRepository(Repository[User]):
    """SQL for users. Every method runs one statement, unless it says otherwise."""

    model = User

    async def get_by_id(self, user_id: int) -> User | None:
        return await self.one(_BY_ID, {"user_id": user_id})

    async def get_for_update(self, user_id: int) -> User | None:
        """Return a user in their current state, and lock the row until the transaction ends."""
        return await self.one(_FOR_UPDATE, {"user_id": user_id})

    async def list_page(
        self, *, limit: int, after: int | None = None, text: str | None = None, **filters: object
    ) -> Sequence[User]:
        """Return up to `limit` users ordered by id, starting after the id `after`.

        `text` is a case-insensitive substring of address or name. Filters that are None are ignored.
        """
        filters["pattern"] = None if text is None else containing(text)
        wanted = {name: value for name, value in filters.items() if value is not None}
        statement = _page(frozenset(wanted), after=after is not None)
        last = () if after is None else (after,)
        return await self.page(statement, limit=limit, after=last, **wanted)

    async def create_many(self, rows: Sequence[dict[str, Any]]) -> Sequence[int]:
        """Insert users in bulk, and return their ids in the order of the rows.

        Runs one statement per 1000 rows.
        """
        statement = insert(User).returning(User.id, sort_by_parameter_order=True)
        result = await self._session.scalars(statement, rows)
        return result.all()
