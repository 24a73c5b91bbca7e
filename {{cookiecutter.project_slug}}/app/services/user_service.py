from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import KeysetPage, decode_cursor, encode_cursor
from app.models.user import User, UserRow
from app.repositories.user_repo import UserRepository
from app.schemas.user import UserCreate, UserImport, UserImportResponse, UserPatch

# {%- if cookiecutter.use_auth +%}
from app.services.permissions import require_owner_or_admin

# {%- endif +%}
from app.services.post_service import PostService

# {%- if cookiecutter.use_auth +%}
from app.services.registration_service import Admission

# {%- endif +%}
from app.services.rows import found, require_version

_SORT: Final = "id"


class UserService:
    """The rules of users."""

    def __init__(self, session: AsyncSession) -> None:
        self._users = UserRepository(session)
        self._posts = PostService(session)

    async def create_user(
        self,
        data: UserCreate,
        # {% if cookiecutter.use_auth %}
        admission: Admission,
        role: str = "user",
        # {% endif %}
    ) -> UserRow:
        """Register a user.

        Raises `ConflictError` if the e-mail address is taken, in whatever case. The unique index
        says so at the insert: asking first would cost a query and still lose the race.
        """
        values = {
            "email": data.email,
            "display_name": data.display_name,
            # {% if cookiecutter.use_auth %}
            "hashed_password": admission.hashed_password,
            "is_email_verified": admission.is_email_verified,
            "role": role,
            # {% endif %}
        }
        return await self._users.insert(values)

    async def import_users(self, data: UserImport) -> UserImportResponse:
        """Write many users with their posts in bulk: all of them, or on any error none.

        Raises `ConflictError` if an e-mail address is taken or comes twice.
        """
        ids = await self._users.create_many(
            [{"email": user.email, "display_name": user.display_name} for user in data.users]
        )
        posts = [
            (author_id, post)
            for author_id, user in zip(ids, data.users, strict=True)
            for post in user.posts
        ]
        await self._posts.import_posts(posts)
        return UserImportResponse(users=len(ids), posts=len(posts))

    async def list_users(
        self,
        limit: int,
        cursor: str | None,
        *,
        text: str | None = None,
        is_active: bool | None = None,
        # {% if cookiecutter.use_auth %}
        role: str | None = None,
        # {% endif %}
    ) -> KeysetPage[UserRow]:
        """Return a page of users in the order of their ids, narrowed as asked.

        Raises `ValidationError` for a cursor that is not one of ours.
        """
        _, after = decode_cursor(cursor, _SORT, int) if cursor else (0, 0)
        users = await self._users.list_after(
            after,
            limit + 1,
            text=text,
            is_active=is_active,
            # {% if cookiecutter.use_auth %}
            role=role,
            # {% endif %}
        )
        return KeysetPage.of(users, limit, lambda user: encode_cursor(_SORT, user.id, user.id))

    async def get_user(
        self,
        user_id: int,
        # {% if cookiecutter.use_auth %}
        actor: UserRow,
        # {% endif %}
    ) -> UserRow:
        """Return a user. Raises `NotFoundError`."""
        # {% if cookiecutter.use_auth %}
        require_owner_or_admin(actor, user_id)
        # {% endif %}
        return found(await self._users.get_by_id(user_id), f"User {user_id}")

    async def update_user(
        self,
        user_id: int,
        data: UserPatch,
        expected: frozenset[int] | None,
        # {% if cookiecutter.use_auth %}
        actor: UserRow,
        # {% endif %}
    ) -> User:
        """Change what the body names.

        Raises `NotFoundError`, `VersionMismatchError` and `ConflictError`.
        """
        values = data.model_dump(exclude_unset=True)
        # {% if cookiecutter.use_auth %}
        require_owner_or_admin(actor, user_id)
        values.pop("current_password", None)
        # {% endif %}
        user = await self._lock(user_id, expected)
        return await self._users.update(user, values)

    async def delete_user(
        self,
        user_id: int,
        expected: frozenset[int] | None,
        # {% if cookiecutter.use_auth %}
        actor: UserRow,
        # {% endif %}
    ) -> None:
        """Delete a user and their posts. Raises `NotFoundError` and `VersionMismatchError`."""
        # {% if cookiecutter.use_auth %}
        require_owner_or_admin(actor, user_id)
        # {% endif %}
        await self._users.delete(await self._lock(user_id, expected))

    async def _lock(self, user_id: int, expected: frozenset[int] | None) -> User:
        """Return a user of an expected version, locked until the transaction ends."""
        user = found(await self._users.get_for_update(user_id), f"User {user_id}")
        require_version(user, expected)
        return user
