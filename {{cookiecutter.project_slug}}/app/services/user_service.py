from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import KeysetPage, decode_cursor, encode_cursor
from app.models.user import User
from app.repositories.idempotency_key_repo import IdempotencyKeyRepository
from app.repositories.user_repo import UserRepository
from app.schemas.user import UserQuery
from app.services.permissions import Caller, require_owner_or_admin
from app.services.rows import require_found, require_version

_SORT: Final = "id"


class UserService:
    """The business rules of users."""

    def __init__(self, session: AsyncSession, caller: Caller | None = None) -> None:
        self._caller = caller
        self._users = UserRepository(session)
        self._keys = IdempotencyKeyRepository(session)

    async def create_user(self, values: Mapping[str, Any]) -> User:
        """Create a user from the values of its columns.

        Raises `EmailTakenError` if the e-mail address is taken, ignoring case. The unique index
        detects this at the insert; a query before would lose the race.
        """
        return await self._users.create(values)

    async def create_users(self, rows: Sequence[dict[str, Any]]) -> Sequence[int]:
        """Create many users in bulk. Return their ids in the order of the rows.

        Raises `EmailTakenError` if an e-mail address is taken or occurs twice.
        """
        return await self._users.create_many(rows)

    async def list_users(self, query: UserQuery) -> KeysetPage[User]:
        """Return a page of users ordered by id, filtered by the query.

        Raises `ValidationError` for an invalid cursor.
        """
        after = decode_cursor(query.cursor, _SORT, int)[1] if query.cursor else None
        filters = query.model_dump(exclude={"limit", "cursor"})
        users = await self._users.list_page(limit=query.limit + 1, after=after, **filters)
        return KeysetPage.of(
            users, query.limit, lambda user: encode_cursor(_SORT, user.id, user.id)
        )

    async def get_user(self, user_id: int) -> User:
        """Return a user. Raises `NotFoundError`."""
        require_owner_or_admin(self._caller, user_id)
        return require_found(await self._users.get_by_id(user_id), f"User {user_id}")

    async def update_user(
        self, user_id: int, values: Mapping[str, Any], if_match: frozenset[int] | None
    ) -> User:
        """Change the columns of a user.

        Raises `NotFoundError`, `VersionMismatchError` and `EmailTakenError`.
        """
        require_owner_or_admin(self._caller, user_id)
        return await self._users.update(await self._lock(user_id, if_match), values)

    async def delete_user(self, user_id: int, if_match: frozenset[int] | None) -> None:
        """Delete a user and what belongs to them, such as the responses stored for them.

        Raises `NotFoundError` and `VersionMismatchError`.
        """
        require_owner_or_admin(self._caller, user_id)
        await self._users.delete(await self._lock(user_id, if_match))
        await self._keys.delete_about_user(user_id)

    async def _lock(self, user_id: int, if_match: frozenset[int] | None) -> User:
        """Return a user of a matching version, and lock the row until the transaction ends."""
        user = require_found(await self._users.get_for_update(user_id), f"User {user_id}")
        require_version(user, if_match)
        return user
