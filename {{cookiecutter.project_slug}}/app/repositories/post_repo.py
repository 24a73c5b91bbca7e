from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, insert, select
from sqlalchemy.orm import QueryableAttribute, defer, raiseload, selectinload

from app.models.post import Post
from app.models.user import User
from app.repositories.base import Repository, containing, contains, keyset

# raiseload: accessing what a statement has not loaded raises an error instead of querying.
_POSTS: Final = select(Post).options(raiseload("*"))
# Statements are built once, because building them is slow (see docs/decisions/0006).
_BY_ID: Final = _POSTS.where(Post.id == bindparam("post_id"))
# populate_existing: the session may have loaded an older state before the lock.
_FOR_UPDATE: Final = _BY_ID.with_for_update().execution_options(populate_existing=True)
# Three columns instead of two objects, which is faster (see docs/decisions/0006).
_HEADLINE: Final = (
    select(Post.id, Post.title, User.display_name)
    .join(Post.author)
    .where(Post.id == bindparam("post_id"))
)
_SORT_COLUMNS: Final[dict[str, QueryableAttribute[Any]]] = {
    "created_at": Post.created_at,
    "title": Post.title,
}


@cache
def _page(
    sort: str, *, after: bool, by_author: bool, by_text: bool, with_author: bool, with_body: bool
) -> Select[Post]:
    """Build the statement of a list on first use."""
    statement = _POSTS
    if with_author:
        statement = select(Post).options(selectinload(Post.author).raiseload("*"))
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


class Headline(NamedTuple):
    """A post in one line."""

    id: int
    title: str
    author: str


class PostRepository(Repository[Post]):
    """SQL for posts. Every method runs one statement, unless it says otherwise."""

    model = Post

    async def get_by_id(self, post_id: int) -> Post | None:
        return await self.one(_BY_ID, {"post_id": post_id})

    async def get_for_update(self, post_id: int) -> Post | None:
        """Return a post in its current state, and lock it until the transaction ends."""
        return await self.one(_FOR_UPDATE, {"post_id": post_id})

    async def get_headline(self, post_id: int) -> Headline | None:
        """Return the headline of a post, or None."""
        row = await self.row(_HEADLINE, {"post_id": post_id})
        return Headline(*row) if row else None

    async def list_page(
        self,
        *,
        sort: str,
        limit: int,
        after: tuple[Any, int] | None = None,
        author_id: int | None = None,
        text: str | None = None,
        with_author: bool = False,
        with_body: bool = True,
    ) -> Sequence[Post]:
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
        filters: dict[str, object] = {}
        if author_id is not None:
            filters["author_id"] = author_id
        if text is not None:
            filters["pattern"] = containing(text)
        return await self.page(statement, limit=limit, after=after or (), **filters)

    async def create_many(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert posts in bulk. Runs no statement if there are none."""
        if rows:
            await self._session.execute(insert(Post), rows)
