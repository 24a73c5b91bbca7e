from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import OffsetPage
from app.exceptions import NotFoundError
from app.repositories.post_like_repo import PostLike, PostLikeRepository
from app.services.permissions import Caller, require_user
from app.services.rows import require_found


class PostLikeService:
    """The business rules of likes. A user can only like and unlike as themselves."""

    def __init__(self, session: AsyncSession, caller: Caller | None = None) -> None:
        self._caller = caller
        self._likes = PostLikeRepository(session)

    async def like_post(self, post_id: int) -> None:
        """Like a post as the caller, unless they like it already. Raises `NotFoundError`.

        The constraints of the table detect an existing like and a missing post. A query before
        would lose the race against another request.
        """
        await self._likes.add(post_id, require_user(self._caller))

    async def unlike_post(self, post_id: int) -> None:
        """Undo `like_post`, if the caller likes the post. Raises `NotFoundError`."""
        if not await self._likes.remove(post_id, require_user(self._caller)):
            raise NotFoundError(f"Post {post_id} not found")

    async def list_likes(self, post_id: int, *, page: int, limit: int) -> OffsetPage[PostLike]:
        """Return a page of the likes of a post, newest first, with their total. Raises `NotFoundError`."""
        found = await self._likes.list_page(post_id, limit=limit, skipped=(page - 1) * limit)
        return OffsetPage(*require_found(found, f"Post {post_id}"))

    async def import_likes(self, likes: Sequence[tuple[int, int]]) -> None:
        """Write many likes in bulk, each given as the ids of post and user."""
        await self._likes.create_many(likes)
