from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, insert, select
from sqlalchemy.orm import QueryableAttribute, defer, raiseload, selectinload

from app.models.post import Post
from app.models.user import User
from app.repositories.base import Repository, containing, contains, for_update, keyset, place
from app.repositories.named_columns import NamedColumns
from app.repositories.post_like_repo import LIKE_COUNT, LIKED_BY_VIEWER

# raiseload: accessing what a statement has not loaded raises an error instead of querying.
_POSTS: Final = select(Post).options(raiseload("*"))
# Statements are built once, because building them is slow (see docs/decisions/0006).
_BY_ID: Final = _POSTS.where(Post.id == bindparam("post_id"))
_FOR_UPDATE: Final = for_update(_BY_ID)
_SORT_COLUMNS: Final[dict[str, QueryableAttribute[Any]]] = {
    "created_at": Post.created_at,
    "title": Post.title,
}


@dataclass(frozen=True, slots=True)
class Headline:
    """A post in one line."""

    id: int
    title: str
    author: str


# Not frozen, because that makes creating one slower (see docs/decisions/0006).
@dataclass(slots=True)
class ViewedPost:
    """A post, how many users like it, and whether the viewer does."""

    post: Post
    like_count: int
    liked_by_me: bool

    @property
    def etag(self) -> str:
        """The `ETag`: the version of the post, which a like does not change, and its likes, if any."""
        mine = "-mine" if self.liked_by_me else ""
        likes = f"-{self.like_count}{mine}" if self.like_count else ""
        return f"{self.post.version}{likes}"


# Three columns instead of two objects, which is faster (see docs/decisions/0006).
_HEADLINE: Final = NamedColumns(Headline, id=Post.id, title=Post.title, author=User.display_name)
_HEADLINE_BY_ID: Final = _HEADLINE.select().join(Post.author).where(Post.id == bindparam("post_id"))
_VIEWED: Final = NamedColumns(
    ViewedPost, post=Post, like_count=LIKE_COUNT, liked_by_me=LIKED_BY_VIEWER
)
_VIEWED_BY_ID: Final = (
    _VIEWED.select().options(raiseload("*")).where(Post.id == bindparam("post_id"))
)


@cache
def _page(
    sort: str, *, after: bool, by_author: bool, by_text: bool, with_author: bool, with_body: bool
) -> Select[Any]:
    """Build the statement of a list on first use."""
    statement = _VIEWED.select().options(raiseload("*"))
    if with_author:
        statement = statement.options(selectinload(Post.author).raiseload("*"))
    if not with_body:
        statement = statement.options(defer(Post.body, raiseload=True))
    if by_author:
        statement = statement.where(Post.author_id == bindparam("author_id"))
    if by_text:
        statement = statement.where(contains(Post.title) | contains(Post.body))
    column = _SORT_COLUMNS[sort.removeprefix("-")].expression
    return keyset(
        statement, column, Post.id.expression, descending=sort.startswith("-"), after=after
    )


class PostRepository(Repository[Post]):
    """SQL for posts. Every method runs one statement, unless it says otherwise."""

    model = Post

    async def get_by_id(self, post_id: int, viewer_id: int | None) -> ViewedPost | None:
        """Return a post as a viewer sees it, or as anyone does if `viewer_id` is None."""
        parameters = {"post_id": post_id, "viewer_id": viewer_id}
        return _VIEWED.one(await self._session.execute(_VIEWED_BY_ID, parameters))

    async def get_for_update(self, post_id: int) -> Post | None:
        """Return a post in its current state, and lock it until the transaction ends."""
        return await self.one(_FOR_UPDATE, {"post_id": post_id})

    async def get_headline(self, post_id: int) -> Headline | None:
        """Return the headline of a post, or None."""
        parameters = {"post_id": post_id}
        return _HEADLINE.one(await self._session.execute(_HEADLINE_BY_ID, parameters))

    async def list_page(
        self,
        *,
        sort: str,
        limit: int,
        viewer_id: int | None,
        after: tuple[Any, int] | None = None,
        author_id: int | None = None,
        text: str | None = None,
        with_author: bool = False,
        with_body: bool = True,
    ) -> Sequence[ViewedPost]:
        """Return up to `limit` posts in the order `sort`: a column, descending if prefixed by `-`.

        Posts with equal sort values are ordered by id. `after` holds the sort value and the id of
        the last row of the previous page. `author_id` and `text` (a case-insensitive substring of
        title or body) filter the list. `with_author` loads the authors in a second statement;
        without `with_body`, reading the body of a post raises an error.
        """
        statement = _page(
            sort,
            after=after is not None,
            by_author=author_id is not None,
            by_text=text is not None,
            with_author=with_author,
            with_body=with_body,
        )
        filters: dict[str, object] = {"viewer_id": viewer_id}
        if author_id is not None:
            filters["author_id"] = author_id
        if text is not None:
            filters["pattern"] = containing(text)
        parameters = {**place(limit, after or ()), **filters}
        return _VIEWED.rows(await self._session.execute(statement, parameters))

    async def create_many(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert posts in bulk. Runs no statement if there are none."""
        if rows:
            await self._session.execute(insert(Post), rows)
