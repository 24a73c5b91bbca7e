from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, func, insert, select
from sqlalchemy.orm import raiseload

from app.models.user import User, UserRow
from app.repositories.base import Repository, columns

_USERS: Final = User.__table__.c
_ROW: Final = columns(User, UserRow)
# Statements are built once: building them per call costs about a fifth of a small request.
_BY_ID: Final = select(*_ROW).where(_USERS.id == bindparam("user_id"))
_PAGE: Final = (
    select(*_ROW).where(_USERS.id > bindparam("after")).order_by(_USERS.id).limit(bindparam("n"))
)
_INSERT: Final = insert(User.__table__).returning(*_ROW)
# raiseload: no caller wants the posts, so touching them is an error instead of a query.
_OBJECT: Final = select(User).options(raiseload(User.posts))
# populate_existing: what the session has read before may be older than the lock.
_FOR_UPDATE: Final = (
    _OBJECT.where(_USERS.id == bindparam("user_id"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_BY_EMAIL: Final = _OBJECT.where(func.lower(_USERS.email) == func.lower(bindparam("email")))
_FILTERS: Final[dict[str, ColumnElement[bool]]] = {
    # The position of a text, where LIKE would read wildcards into it.
    "text": (func.strpos(func.lower(_USERS.email), func.lower(bindparam("text"))) > 0)
    | (func.strpos(func.lower(_USERS.display_name), func.lower(bindparam("text"))) > 0),
    "is_active": _USERS.is_active == bindparam("is_active"),
    # {% if cookiecutter.use_auth %}
    "role": _USERS.role == bindparam("role"),
    # {% endif %}
}


@cache
def _page(names: frozenset[str]) -> Select[Any]:
    """Build the statement of a list with some of the filters, on first use."""
    return _PAGE.where(*(_FILTERS[name] for name in sorted(names)))


class UserRepository(Repository[User]):
    """SQL for users. Every method runs one statement, unless it says otherwise."""

    async def insert(self, values: dict[str, Any]) -> UserRow:
        result = await self._session.execute(_INSERT, values)
        return UserRow._make(result.one())

    async def get_by_id(self, user_id: int) -> UserRow | None:
        result = await self._session.execute(_BY_ID, {"user_id": user_id})
        row = result.one_or_none()
        return UserRow._make(row) if row else None

    async def get_for_update(self, user_id: int) -> User | None:
        """Return a user to change, as they are now, and lock the row until the transaction ends."""
        return await self._session.scalar(_FOR_UPDATE, {"user_id": user_id})

    async def get_by_email(self, email: str) -> User | None:
        """Find a user by e-mail address, whatever its case."""
        return await self._session.scalar(_BY_EMAIL, {"email": email})

    async def list_after(self, user_id: int, limit: int, **filters: object) -> Sequence[UserRow]:
        """Return at most `limit` users with a higher id, in the order of their ids.

        Of the filters, `text` is found in address or name, in any case; None narrows nothing.
        """
        wanted = {name: value for name, value in filters.items() if value is not None}
        parameters = {"after": user_id, "n": limit, **wanted}
        result = await self._session.execute(_page(frozenset(wanted)), parameters)
        return [UserRow._make(row) for row in result.all()]

    async def create_many(self, rows: Sequence[dict[str, Any]]) -> Sequence[int]:
        """Insert users in bulk and return their ids in the order of the rows.

        Runs one statement for each 1000 rows.
        """
        statement = insert(User).returning(User.id, sort_by_parameter_order=True)
        result = await self._session.scalars(statement, rows)
        return result.all()
