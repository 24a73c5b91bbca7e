from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs.queue import JobQueue
from app.core.pagination import KeysetPage, decode_cursor, encode_cursor
from app.core.types import Text, UtcDatetime
from app.models.post import Post
from app.repositories.post_repo import PostRepository, ViewedPost
from app.schemas.post import PostCreate, PostFields, PostPatch, PostSort
from app.schemas.post_jobs import AnnouncePost
from app.services.permissions import Caller, id_of_user, owner_of_new, require_owner_or_admin
from app.services.rows import require_found, require_version

# The type of the sort value in cursors.
_SORT_TYPES: Final = {"created_at": UtcDatetime, "title": Text}


class PostService:
    """The business rules of posts."""

    def __init__(self, session: AsyncSession, caller: Caller | None = None) -> None:
        self._caller = caller
        self._posts = PostRepository(session)
        self._jobs = JobQueue(session)

    async def create_post(self, data: PostCreate) -> Post:
        """Create a post, and have it announced. Raises `NotFoundError` for an unknown author."""
        author_id = owner_of_new(self._caller, data.author_id)
        post = await self._posts.create(data.model_dump() | {"author_id": author_id})
        await self._jobs.enqueue(AnnouncePost(post_id=post.id))
        return post

    async def import_posts(self, posts: Sequence[tuple[int, PostFields]]) -> None:
        """Create many posts in bulk, each given with the id of its author."""
        await self._posts.create_many(
            [{"author_id": author_id, **post.model_dump()} for author_id, post in posts]
        )

    async def list_posts(
        self,
        *,
        sort: PostSort,
        limit: int,
        cursor: str | None,
        author_id: int | None,
        text: str | None,
        with_author: bool = False,
        with_body: bool = True,
    ) -> KeysetPage[ViewedPost]:
        """Return a page of posts, optionally of an author and with a text in title or body.

        Raises `ValidationError` for an invalid cursor, or for one of another sort order.
        """
        column = sort.removeprefix("-")
        posts = await self._posts.list_page(
            sort=sort,
            limit=limit + 1,
            viewer_id=id_of_user(self._caller),
            after=decode_cursor(cursor, sort, _SORT_TYPES[column]) if cursor else None,
            author_id=author_id,
            text=text,
            with_author=with_author,
            with_body=with_body,
        )
        return KeysetPage.of(
            posts,
            limit,
            lambda found: encode_cursor(sort, getattr(found.post, column), found.post.id),
        )

    async def get_post(self, post_id: int) -> ViewedPost:
        """Return a post as the caller sees it. Raises `NotFoundError`."""
        found = await self._posts.get_by_id(post_id, id_of_user(self._caller))
        return require_found(found, f"Post {post_id}")

    async def update_post(
        self, post_id: int, data: PostPatch, if_match: frozenset[int] | None
    ) -> Post:
        """Change a post. Raises `NotFoundError` and `VersionMismatchError`."""
        post = await self._lock(post_id, if_match)
        return await self._posts.update(post, data.columns())

    async def delete_post(self, post_id: int, if_match: frozenset[int] | None) -> None:
        """Delete a post. Raises `NotFoundError` and `VersionMismatchError`."""
        await self._posts.delete(await self._lock(post_id, if_match))

    async def _lock(self, post_id: int, if_match: frozenset[int] | None) -> Post:
        """Return a post that the caller may change, and lock it until the transaction ends."""
        post = require_found(await self._posts.get_for_update(post_id), f"Post {post_id}")
        require_owner_or_admin(self._caller, post.author_id)
        require_version(post, if_match)
        return post
