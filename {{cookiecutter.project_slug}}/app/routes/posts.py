from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request, Response, status

from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.openapi import link_to
from app.core.http.problems import problem_responses
from app.core.types import Id, Text

# {%- if cookiecutter.use_auth +%}
from app.dependencies.auth.caller import CurrentUser, get_current_user

# {%- endif +%}
from app.dependencies.database import DatabaseDep
from app.dependencies.idempotency import IdempotentRoute, claim_key
from app.dependencies.pagination import PageCursor, PageLimit
from app.dependencies.preconditions import ExpectedVersions
from app.dependencies.services import PostServiceDep
from app.core.http.links import set_location, set_next_link
from app.schemas.page import Page
from app.schemas.post import PostCreate, PostPatch, PostResponse, PostSort
from app.services.announcements import announce_post

router = APIRouter(prefix="/posts", tags=["Posts"], route_class=IdempotentRoute)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    dependencies=[
        # {% if cookiecutter.use_auth %}
        Depends(get_current_user),
        # {% endif %}
        Depends(claim_key),
    ],
    responses=link_to("post")
    | problem_responses(
        # {% if cookiecutter.use_auth %}
        401,
        403,
        # {% endif %}
        404,
        409,
    ),
)
async def create_post(
    data: PostCreate,
    posts: PostServiceDep,
    # {% if cookiecutter.use_auth %}
    actor: CurrentUser,
    # {% endif %}
    database: DatabaseDep,
    background: BackgroundTasks,
    request: Request,
    response: Response,
) -> PostResponse:
    """Publish a post."""
    post = await posts.create_post(
        data,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
    background.add_task(announce_post, database, post.id)
    set_location(request, response, post.id)
    set_etag(request, response, post.version)
    return PostResponse.model_validate(post)


@router.get("")
async def list_posts(
    posts: PostServiceDep,
    request: Request,
    response: Response,
    author_id: Annotated[Id | None, Query(description="Only posts of this user.")] = None,
    q: Annotated[
        Text | None,
        Query(min_length=1, max_length=100, description="Only posts that hold this text."),
    ] = None,
    sort: Annotated[
        PostSort, Query(description="`-` before the name: descending.")
    ] = "-created_at",
    limit: PageLimit = 20,
    cursor: PageCursor = None,
) -> Page[PostResponse]:
    """List posts, newest first unless `sort` says otherwise."""
    page = await posts.list_posts(
        sort=sort, limit=limit, cursor=cursor, author_id=author_id, text=q
    )
    set_next_link(request, response, page.next_cursor)
    return Page[PostResponse].model_validate(page)


@router.get("/{post_id:id}", responses=NOT_MODIFIED | problem_responses(404))
async def read_post(
    post_id: Id, posts: PostServiceDep, request: Request, response: Response
) -> PostResponse:
    """Read a post."""
    post = await posts.get_post(post_id)
    set_etag(request, response, post.version)
    return PostResponse.model_validate(post)


@router.patch(
    "/{post_id:id}",
    responses=problem_responses(
        # {% if cookiecutter.use_auth %}
        401,
        403,
        # {% endif %}
        404,
        412,
        428,
    ),
)
async def update_post(
    post_id: Id,
    data: PostPatch,
    posts: PostServiceDep,
    expected: ExpectedVersions,
    request: Request,
    response: Response,
    # {% if cookiecutter.use_auth %}
    actor: CurrentUser,
    # {% endif %}
) -> PostResponse:
    """Change what the body names; the rest stays."""
    post = await posts.update_post(
        post_id,
        data,
        expected,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
    set_etag(request, response, post.version)
    return PostResponse.model_validate(post)


@router.delete(
    "/{post_id:id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(
        # {% if cookiecutter.use_auth %}
        401,
        403,
        # {% endif %}
        404,
        412,
        428,
    ),
)
async def delete_post(
    post_id: Id,
    posts: PostServiceDep,
    expected: ExpectedVersions,
    # {% if cookiecutter.use_auth %}
    actor: CurrentUser,
    # {% endif %}
) -> None:
    """Delete a post."""
    await posts.delete_post(
        post_id,
        expected,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
