from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Select, Text, bindparam, insert, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, joinedload, raiseload

from app.models.post import Post
from app.repositories.base import Repository

_POSTS: Final = select(Post).options(raiseload(Post.author))
_BY_ID: Final = _POSTS.where(Post.id == bindparam("post_id"))
# populate_existing: what the session has read before may be older than the lock.
_FOR_UPDATE: Final = _BY_ID.with_for_update().execution_options(populate_existing=True)
_WITH_AUTHOR: Final = (
    select(Post).options(joinedload(Post.author)).where(Post.id == bindparam("post_id"))
)
_SORT_COLUMNS: Final[dict[str, InstrumentedAttribute[Any]]] = {
    "created_at": Post.created_at,
    "title": Post.title,
}


@cache
def _page(sort: str, *, after: bool, by_author: bool, by_text: bool) -> Select[Post]:
    """Build the statement of a list; there are 32 of them, each built on first use."""
    column = _SORT_COLUMNS[sort.removeprefix("-")]
    descending = sort.startswith("-")
    statement = _POSTS.limit(bindparam("n")).order_by(
        *((column.desc(), Post.id.desc()) if descending else (column, Post.id))
    )
    if after:
        # A row comparison, which PostgreSQL answers from the index on (column, id).
        place = tuple_(column, Post.id)
        last = tuple_(
            bindparam("last_value", type_=column.type), bindparam("last_id", type_=Post.id.type)
        )
        statement = statement.where(place < last if descending else place > last)
    if by_author:
        statement = statement.where(Post.author_id == bindparam("author_id"))
    if by_text:
        pattern = bindparam("pattern", type_=Text())
        statement = statement.where(
            Post.title.ilike(pattern, escape="\\") | Post.body.ilike(pattern, escape="\\")
        )
    return statement


def _contains(text: str) -> str:
    """Return the ILIKE pattern that finds a text, with its wildcards taken literally."""
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


class PostRepository(Repository[Post]):
    """SQL for posts. Every method runs one statement, unless it says otherwise."""

    async def get_by_id(self, post_id: int) -> Post | None:
        return await self._session.scalar(_BY_ID, {"post_id": post_id})

    async def get_for_update(self, post_id: int) -> Post | None:
        """Return the row as it is now, and lock it until the transaction ends."""
        return await self._session.scalar(_FOR_UPDATE, {"post_id": post_id})

    async def get_with_author(self, post_id: int) -> Post | None:
        """Return a post whose `author` is loaded too."""
        return await self._session.scalar(_WITH_AUTHOR, {"post_id": post_id})

    async def list_page(
        self,
        *,
        sort: str,
        limit: int,
        after: tuple[Any, int] | None = None,
        author_id: int | None = None,
        text: str | None = None,
    ) -> Sequence[Post]:
        """Return at most `limit` posts in the order `sort` (a column, `-` before it: descending).

        `after` is the sort value and the id of the row before the first one wanted. The order
        ends in the id, so that equal values have one order. `author_id` and `text` (anywhere in
        title or body, in any case) narrow the list.
        """
        statement = _page(
            sort,
            after=after is not None,
            by_author=author_id is not None,
            by_text=text is not None,
        )
        last_value, last_id = after or (None, None)
        parameters = {
            "n": limit,
            "last_value": last_value,
            "last_id": last_id,
            "author_id": author_id,
            "pattern": None if text is None else _contains(text),
        }
        wanted = {name: value for name, value in parameters.items() if value is not None}
        result = await self._session.scalars(statement, wanted)
        return result.all()

    async def create_many(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert posts in bulk; no statement if there are none."""
        if rows:
            await self._session.execute(insert(Post), rows)
