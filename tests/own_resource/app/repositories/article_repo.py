from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.orm import raiseload

from app.models.article import Article
from app.repositories.base import Repository, for_update, keyset

_ARTICLES: Final = select(Article).options(raiseload("*"))
_BY_ID: Final = _ARTICLES.where(Article.id == bindparam("article_id"))
_FOR_UPDATE: Final = for_update(_BY_ID)
_FIRST_PAGE: Final = keyset(_ARTICLES, Article.id.expression)
_NEXT_PAGE: Final = keyset(_ARTICLES, Article.id.expression, after=True)


class ArticleRepository(Repository[Article]):
    """SQL for articles. Every method runs one statement."""

    model = Article

    async def get_by_id(self, article_id: int) -> Article | None:
        return await self.one(_BY_ID, {"article_id": article_id})

    async def get_for_update(self, article_id: int) -> Article | None:
        """Return an article to change, and lock it until the transaction ends."""
        return await self.one(_FOR_UPDATE, {"article_id": article_id})

    async def list_page(self, *, limit: int, after: int | None) -> Sequence[Article]:
        """Return at most `limit` articles in the order of their ids, from `after` on."""
        if after is None:
            return await self.page(_FIRST_PAGE, limit=limit)
        return await self.page(_NEXT_PAGE, limit=limit, after=(after,))
