from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.limits import body_limit
from app.core.http.links import set_location, set_next_link
from app.core.http.openapi import Tag, link_to
from app.core.types import Id, SearchText
from app.dependencies.if_match import IfMatch
from app.dependencies.pagination import PageCursor, PageLimit
from app.dependencies.services import service, viewer_service
from app.routes import post_likes
from app.schemas.page import Page
from app.schemas.post import MAX_POST_BYTES, PostCreate, PostPatch, PostResponse, PostSort
from app.schemas.post_like import PostSummaryWithLikes, PostWithAuthorAndLikes, PostWithLikes
from app.services.post_service import PostService

router = APIRouter(prefix="/posts", tags=[Tag("Posts", "What users write.")], route_class=EdgeRoute)

PostServiceDep = Annotated[PostService, Depends(service(PostService))]
# Anyone may read, and a known caller also sees which posts they like.
PublicPostServiceDep = Annotated[PostService, Depends(viewer_service(PostService))]


@router.get("")
async def list_posts(
    posts: PublicPostServiceDep,
    request: Request,
    response: Response,
    author_id: Annotated[Id | None, Query(description="Only posts of this user.")] = None,
    q: Annotated[SearchText | None, Query(description="Only posts that contain this text.")] = None,
    sort: Annotated[
        PostSort, Query(description="Sort order; `-` means descending.")
    ] = "-created_at",
    include: Annotated[
        Literal["author"] | None, Query(description="Related data to include in each post.")
    ] = None,
    view: Annotated[
        Literal["full", "summary"],
        Query(description="`summary` leaves out the body, and what `include` names."),
    ] = "full",
    limit: PageLimit = 20,
    cursor: PageCursor = None,
) -> Page[PostWithLikes] | Page[PostWithAuthorAndLikes] | Page[PostSummaryWithLikes]:
    """List posts, by default newest first."""
    page = await posts.list_posts(
        sort=sort,
        limit=limit,
        cursor=cursor,
        author_id=author_id,
        text=q,
        with_author=include == "author" and view == "full",
        with_body=view == "full",
    )
    set_next_link(request, response, page.next_cursor)
    if view == "summary":
        return Page[PostSummaryWithLikes].model_validate(page)
    if include == "author":
        return Page[PostWithAuthorAndLikes].model_validate(page)
    return Page[PostWithLikes].model_validate(page)


@router.get("/{post_id:id}", responses=NOT_MODIFIED)
async def read_post(
    post_id: Id, posts: PublicPostServiceDep, request: Request, response: Response
) -> PostWithLikes:
    """Read a post."""
    found = await posts.get_post(post_id)
    set_etag(request, response, found.etag)
    return PostWithLikes.model_validate(found)


@router.post("", status_code=status.HTTP_201_CREATED, responses=link_to("post"))
@body_limit(lambda _settings: MAX_POST_BYTES)
async def create_post(
    data: PostCreate, posts: PostServiceDep, request: Request, response: Response
) -> PostResponse:
    """Publish a post."""
    post = await posts.create_post(data)
    set_location(request, response, post.id)
    set_etag(request, response, post.version)
    return PostResponse.model_validate(post)


@router.patch("/{post_id:id}")
@body_limit(lambda _settings: MAX_POST_BYTES)
async def update_post(
    post_id: Id,
    data: PostPatch,
    posts: PostServiceDep,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> PostResponse:
    """Change a post. Omitted fields stay unchanged."""
    post = await posts.update_post(post_id, data, if_match)
    set_etag(request, response, post.version)
    return PostResponse.model_validate(post)


@router.delete("/{post_id:id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_post(post_id: Id, posts: PostServiceDep, if_match: IfMatch) -> None:
    """Delete a post."""
    await posts.delete_post(post_id, if_match)


router.include_router(post_likes.router)
