from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions import EmailTakenError
from app.schemas.user_import import UserImport, UserImportResponse
from app.services.permissions import Caller, record
from app.services.post_service import PostService
from app.services.user_service import UserService


class UserImportService:
    """Writes users and posts in one transaction, by the services of both."""

    def __init__(self, session: AsyncSession, caller: Caller | None = None) -> None:
        self._session = session
        self._caller = caller
        self._users = UserService(session, caller)
        self._posts = PostService(session, caller)

    async def import_users(self, data: UserImport) -> UserImportResponse:
        """Write many users with their posts in bulk: all of them, or none if there is an error.

        Raises `EmailTakenError` if an e-mail address is taken or comes twice.
        """
        try:
            ids = await self._users.create_users(
                [user.model_dump(exclude={"posts"}) for user in data.users]
            )
        except EmailTakenError as error:
            # Drop the field: it belongs to one of the users, not to the body.
            raise EmailTakenError(str(error)) from None
        posts = [
            (author_id, post)
            for author_id, user in zip(ids, data.users, strict=True)
            for post in user.posts
        ]
        await self._posts.import_posts(posts)
        record(self._session, self._caller, "users_imported", users=len(ids), posts=len(posts))
        return UserImportResponse(users=len(ids), posts=len(posts))
