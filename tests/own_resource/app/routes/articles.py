from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status

from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.links import set_location, set_next_link
from app.core.http.openapi import link_to
from app.core.types import Id
from app.dependencies.if_match import IfMatch
from app.dependencies.pagination import PageCursor, PageLimit
from app.dependencies.services import public_service, service
from app.schemas.article import ArticleCreate, ArticlePatch, ArticleResponse
from app.schemas.page import Page
from app.services.article_service import ArticleService

router = APIRouter(prefix="/articles", tags=["Articles"], route_class=EdgeRoute)

ArticleServiceDep = Annotated[ArticleService, Depends(service(ArticleService))]
PublicArticleServiceDep = Annotated[ArticleService, Depends(public_service(ArticleService))]


@router.post("", status_code=status.HTTP_201_CREATED, responses=link_to("article"))
async def create_article(
    data: ArticleCreate, articles: ArticleServiceDep, request: Request, response: Response
) -> ArticleResponse:
    """Add an article."""
    article = await articles.create_article(data)
    set_location(request, response, article.id)
    set_etag(request, response, article.version)
    return ArticleResponse.model_validate(article)


@router.get("")
async def list_articles(
    articles: PublicArticleServiceDep,
    request: Request,
    response: Response,
    limit: PageLimit = 20,
    cursor: PageCursor = None,
) -> Page[ArticleResponse]:
    """List articles, oldest first."""
    page = await articles.list_articles(limit, cursor)
    set_next_link(request, response, page.next_cursor)
    return Page[ArticleResponse].model_validate(page)


@router.get("/{article_id:id}", responses=NOT_MODIFIED)
async def read_article(
    article_id: Id, articles: PublicArticleServiceDep, request: Request, response: Response
) -> ArticleResponse:
    """Read an article."""
    article = await articles.get_article(article_id)
    set_etag(request, response, article.version)
    return ArticleResponse.model_validate(article)


@router.patch("/{article_id:id}")
async def update_article(
    article_id: Id,
    data: ArticlePatch,
    articles: ArticleServiceDep,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> ArticleResponse:
    """Change what the body names; the rest stays."""
    article = await articles.update_article(article_id, data, if_match)
    set_etag(request, response, article.version)
    return ArticleResponse.model_validate(article)


@router.delete("/{article_id:id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_article(article_id: Id, articles: ArticleServiceDep, if_match: IfMatch) -> None:
    """Delete an article."""
    await articles.delete_article(article_id, if_match)
