from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, bindparam, delete, exists, func, insert, select, true
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.post import Post
from app.models.post_like import post_likes
from app.models.user import User
from app.repositories.named_columns import NamedColumns

_OF_POST: Final = post_likes.c.post_id == Post.id

# Columns for a statement about posts, of which the parameter `viewer_id` names the viewer. A subquery for
# each row of a page reads the likes of that row alone; GROUP BY would count those of all posts first.
LIKE_COUNT: Final = (
    select(func.count()).select_from(post_likes).where(_OF_POST).correlate(Post).scalar_subquery()
)
# Without a viewer the parameter is NULL, which equals nothing: false.
LIKED_BY_VIEWER: Final = (
    exists()
    .where(_OF_POST, post_likes.c.user_id == bindparam("viewer_id", type_=BigInteger()))
    .correlate(Post)
)

# An existing like stays unchanged. Violations of other constraints are errors, because the key is
# named.
_ADD: Final = upsert(post_likes).on_conflict_do_nothing(
    index_elements=[post_likes.c.user_id, post_likes.c.post_id]
)
_POST_EXISTS: Final = exists().where(Post.id == bindparam("post_id"))
# PostgreSQL runs the DELETE although nothing refers to it.
_REMOVE: Final = select(_POST_EXISTS).add_cte(
    delete(post_likes)
    .where(
        post_likes.c.user_id == bindparam("user_id"), post_likes.c.post_id == bindparam("post_id")
    )
    .cte("removed")
)


@dataclass(frozen=True, slots=True)
class PostLike:
    """A user who likes a post, and since when."""

    user_id: int
    display_name: str
    liked_at: datetime


# A page of likes, before users are joined: no user is read for a like that is skipped.
_PAGE: Final = (
    select(post_likes.c.user_id, post_likes.c.created_at)
    .where(post_likes.c.post_id == bindparam("post_id"))
    .order_by(post_likes.c.created_at.desc(), post_likes.c.user_id.desc())
    .limit(bindparam("n"))
    .offset(bindparam("skipped"))
    .subquery("page")
)
_LIKES: Final = NamedColumns(
    PostLike, user_id=User.id, display_name=User.display_name, liked_at=_PAGE.c.created_at
)
# Compared with the parameter, not with the post of the row, so that PostgreSQL counts once, not for each row.
_TOTAL: Final = (
    select(func.count())
    .select_from(post_likes)
    .where(post_likes.c.post_id == bindparam("post_id"))
    .scalar_subquery()
)
# The total comes with each row, so that both are of one moment. The outer join keeps it where the page
# is empty; `count(*) OVER ()` would be lost there.
_LIST: Final = (
    _LIKES.select()
    .add_columns(_TOTAL.label("total"))
    .select_from(Post)
    .outerjoin(_PAGE, true())
    .outerjoin(User, User.id == _PAGE.c.user_id)
    .where(Post.id == bindparam("post_id"))
    .order_by(_PAGE.c.created_at.desc(), _PAGE.c.user_id.desc())
)


class PostLikeRepository:
    """SQL for likes. Every method runs one statement, unless it says otherwise."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, post_id: int, user_id: int) -> None:
        """Write a like, unless it is there already. Raises `NotFoundError`."""
        await self._session.execute(_ADD, {"post_id": post_id, "user_id": user_id})

    async def remove(self, post_id: int, user_id: int) -> bool:
        """Delete a like, if it is there. Return whether the post exists."""
        found = await self._session.scalar(_REMOVE, {"post_id": post_id, "user_id": user_id})
        return bool(found)

    async def list_page(
        self, post_id: int, *, limit: int, skipped: int
    ) -> tuple[Sequence[PostLike], int] | None:
        """Return up to `limit` likes of a post, newest first, and how many there are.

        Returns None if there is no such post. PostgreSQL reads the `skipped` likes, too, in an index.
        """
        parameters = {"post_id": post_id, "n": limit, "skipped": skipped}
        result = await self._session.execute(_LIST, parameters)
        found = result.mappings().all()
        if not found:
            return None
        likes = [_LIKES.of(one) for one in found if one["user_id"] is not None]
        return likes, found[0]["total"]

    async def create_many(self, likes: Sequence[tuple[int, int]]) -> None:
        """Insert likes in bulk, given as ids of post and user. Runs no statement if there are none."""
        rows = [{"post_id": post_id, "user_id": user_id} for post_id, user_id in likes]
        if rows:
            await self._session.execute(insert(post_likes), rows)
