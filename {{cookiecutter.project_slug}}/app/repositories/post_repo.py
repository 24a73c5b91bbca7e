from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, bindparam, insert, select, tuple_
from sqlalchemy.orm import joinedload, raiseload

from app.models.post import Post, PostRow
from app.repositories.base import Repository, columns

_POSTS: Final = Post.__table__.c
_ROW: Final = columns(Post, PostRow)
_HAS_ID: Final = _POSTS.id == bindparam("post_id")
_BY_ID: Final = select(*_ROW).where(_HAS_ID)
_INSERT: Final = insert(Post.__table__).returning(*_ROW)
# raiseload: no caller wants the author, so touching it is an error instead of a query.
# populate_existing: what the session has read before may be older than the lock.
_FOR_UPDATE: Final = (
    select(Post)
    .options(raiseload(Post.author))
    .where(_HAS_ID)
    .with_for_update()
    .execution_options(populate_existing=True)
)
_WITH_AUTHOR: Final = select(Post).options(joinedload(Post.author)).where(_HAS_ID)
_SORT_COLUMNS: Final[dict[str, ColumnElement[Any]]] = {
    "created_at": _POSTS.created_at,
    "title": _POSTS.title,
}


@cache
def _page(sort: str, *, after: bool, by_author: bool, by_text: bool) -> Select[Any]:
    """Build the statement of a list; there are 32 of them, each built on first use."""
    column = _SORT_COLUMNS[sort.removeprefix("-")]
    descending = sort.startswith("-")
    statement = select(*_ROW).limit(bindparam("n"))
    statement = statement.order_by(
        *((column.desc(), _POSTS.id.desc()) if descending else (column, _POSTS.id))
    )
    if after:
        # A row comparison, which PostgreSQL answers from the index on (column, id).
        place = tuple_(column, _POSTS.id)
        last = tuple_(
            bindparam("last_value", type_=column.type), bindparam("last_id", type_=_POSTS.id.type)
        )
        statement = statement.where(place < last if descending else place > last)
    if by_author:
        statement = statement.where(_POSTS.author_id == bindparam("author_id"))
    if by_text:
        pattern = bindparam("pattern", type_=Text())
        statement = statement.where(
            _POSTS.title.ilike(pattern, escape="\\") | _POSTS.body.ilike(pattern, escape="\\")
        )
    return statement


def _contains(text: str) -> str:
    """Return the ILIKE pattern that finds a text, with its wildcards taken literally."""
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


class PostRepository(Repository[Post]):
    """SQL for posts. Every method runs one statement, unless it says otherwise."""

    async def insert(self, values: dict[str, Any]) -> PostRow:
        result = await self._session.execute(_INSERT, values)
        return PostRow._make(result.one())

    async def get_by_id(self, post_id: int) -> PostRow | None:
        result = await self._session.execute(_BY_ID, {"post_id": post_id})
        row = result.one_or_none()
        return PostRow._make(row) if row else None

    async def get_for_update(self, post_id: int) -> Post | None:
        """Return a post to change, as it is now, and lock it until the transaction ends."""
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
    ) -> Sequence[PostRow]:
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
        result = await self._session.execute(statement, wanted)
        return [PostRow._make(row) for row in result.all()]

    async def create_many(self, rows: Sequence[dict[str, Any]]) -> None:
        """Insert posts in bulk; no statement if there are none."""
        if rows:
            await self._session.execute(insert(Post), rows)
