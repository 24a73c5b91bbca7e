from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, func, insert, select
from sqlalchemy.orm import raiseload

from app.models.user import User
from app.repositories.base import Repository

# Statements are built once: building them per call costs about a fifth of a small request.
# raiseload: no caller here wants the posts, so touching them is an error instead of a query.
_USERS: Final = select(User).options(raiseload(User.posts))
_BY_ID: Final = _USERS.where(User.id == bindparam("user_id"))
# populate_existing: what the session has read before may be older than the lock.
_FOR_UPDATE: Final = _BY_ID.with_for_update().execution_options(populate_existing=True)
_BY_EMAIL: Final = _USERS.where(func.lower(User.email) == func.lower(bindparam("email")))
_PAGE: Final = _USERS.where(User.id > bindparam("after")).order_by(User.id).limit(bindparam("n"))
_FILTERS: Final[dict[str, ColumnElement[bool]]] = {
    # The position of a text, where LIKE would read wildcards into it.
    "text": (func.strpos(func.lower(User.email), func.lower(bindparam("text"))) > 0)
    | (func.strpos(func.lower(User.display_name), func.lower(bindparam("text"))) > 0),
    "is_active": User.is_active == bindparam("is_active"),
    # {% if cookiecutter.use_auth %}
    "role": User.role == bindparam("role"),
    # {% endif %}
}


@cache
def _page(names: frozenset[str]) -> Select[User]:
    """Build the statement of a list with some of the filters, on first use."""
    return _PAGE.where(*(_FILTERS[name] for name in sorted(names)))


class UserRepository(Repository[User]):
    """SQL for users. Every method runs one statement, unless it says otherwise."""

    async def get_by_id(self, user_id: int) -> User | None:
        return await self._session.scalar(_BY_ID, {"user_id": user_id})

    async def get_for_update(self, user_id: int) -> User | None:
        """Return the row as it is now, and lock it until the transaction ends."""
        return await self._session.scalar(_FOR_UPDATE, {"user_id": user_id})

    async def get_by_email(self, email: str) -> User | None:
        """Find a user by e-mail address, whatever its case."""
        return await self._session.scalar(_BY_EMAIL, {"email": email})

    async def list_after(self, user_id: int, limit: int, **filters: object) -> Sequence[User]:
        """Return at most `limit` users with a higher id, in the order of their ids.

        Of the filters, `text` is found in address or name, in any case; None narrows nothing.
        """
        wanted = {name: value for name, value in filters.items() if value is not None}
        parameters = {"after": user_id, "n": limit, **wanted}
        result = await self._session.scalars(_page(frozenset(wanted)), parameters)
        return result.all()

    async def create_many(self, rows: Sequence[dict[str, Any]]) -> Sequence[int]:
        """Insert users in bulk and return their ids in the order of the rows.

        Runs one statement for each 1000 rows.
        """
        statement = insert(User).returning(User.id, sort_by_parameter_order=True)
        result = await self._session.scalars(statement, rows)
        return result.all()
