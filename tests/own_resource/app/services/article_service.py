from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import KeysetPage, decode_cursor, encode_cursor
from app.models.article import Article
from app.repositories.article_repo import ArticleRepository
from app.schemas.article import ArticleCreate, ArticlePatch
from app.services.permissions import Caller, require_owner_or_admin
from app.services.rows import require_found, require_version

_SORT: Final = "id"


class ArticleService:
    """The rules of articles."""

    def __init__(self, session: AsyncSession, caller: Caller | None = None) -> None:
        self._caller = caller
        self._articles = ArticleRepository(session)

    async def create_article(self, data: ArticleCreate) -> Article:
        """Raises `NotFoundError` for an unknown editor, `ConflictError` for a slug that is taken."""
        require_owner_or_admin(self._caller, data.editor_id)
        return await self._articles.create(data.model_dump())

    async def list_articles(self, limit: int, cursor: str | None) -> KeysetPage[Article]:
        """Return a page of articles. Raises `ValidationError` for a cursor that is not ours."""
        after = decode_cursor(cursor, _SORT, int)[1] if cursor else None
        articles = await self._articles.list_page(limit=limit + 1, after=after)
        return KeysetPage.of(
            articles, limit, lambda article: encode_cursor(_SORT, article.id, article.id)
        )

    async def get_article(self, article_id: int) -> Article:
        """Return an article. Raises `NotFoundError`."""
        return require_found(await self._articles.get_by_id(article_id), f"Article {article_id}")

    async def update_article(
        self, article_id: int, data: ArticlePatch, if_match: frozenset[int] | None
    ) -> Article:
        """Change what the body names. Raises `NotFoundError` and `VersionMismatchError`."""
        article = await self._lock(article_id, if_match)
        return await self._articles.update(article, data.columns())

    async def delete_article(self, article_id: int, if_match: frozenset[int] | None) -> None:
        """Delete an article. Raises `NotFoundError` and `VersionMismatchError`."""
        await self._articles.delete(await self._lock(article_id, if_match))

    async def _lock(self, article_id: int, if_match: frozenset[int] | None) -> Article:
        article = require_found(
            await self._articles.get_for_update(article_id), f"Article {article_id}"
        )
        require_owner_or_admin(self._caller, article.editor_id)
        require_version(article, if_match)
        return article
