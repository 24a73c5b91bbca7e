from fastapi import (
    APIRouter,
    Depends,
    Request,
    Response,
    status,
)

from app.core.etags import NOT_MODIFIED, set_etag
from app.core.openapi import link_to
from app.core.problems import problem_responses
from app.core.types import Id

# {%- if cookiecutter.use_auth +%}
from app.dependencies.auth import CurrentUser, require_admin

# {%- endif +%}
from app.dependencies.idempotency import IdempotentRoute, claim_key
from app.dependencies.pagination import PageCursor, PageLimit
from app.dependencies.preconditions import ExpectedVersions
from app.dependencies.services import UserServiceDep
from app.routes.links import set_location, set_next_link
from app.schemas.page import Page
from app.schemas.user import (
    UserCreate,
    UserImport,
    UserImportResponse,
    UserPatch,
    UserResponse,
)

router = APIRouter(prefix="/users", tags=["Users"], route_class=IdempotentRoute)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    dependencies=[Depends(claim_key)],
    responses=link_to("user") | problem_responses(409),
)
async def create_user(
    data: UserCreate, users: UserServiceDep, request: Request, response: Response
) -> UserResponse:
    """Register a user."""
    user = await users.create_user(data)
    set_location(request, response, user.id)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.post(
    "/import",
    status_code=status.HTTP_201_CREATED,
    dependencies=[
        # {% if cookiecutter.use_auth %}
        Depends(require_admin),
        # {% endif %}
        Depends(claim_key),
    ],
    responses=problem_responses(
        # {% if cookiecutter.use_auth %}
        401,
        403,
        # {% endif %}
        409,
    ),
)
async def import_users(data: UserImport, users: UserServiceDep) -> UserImportResponse:
    """Write many users with their posts: all of them, or on any error none."""
    return await users.import_users(data)


@router.get(
    "",
    # {% if cookiecutter.use_auth %}
    dependencies=[Depends(require_admin)],
    responses=problem_responses(401, 403),
    # {% endif %}
)
async def list_users(
    users: UserServiceDep,
    request: Request,
    response: Response,
    limit: PageLimit = 20,
    cursor: PageCursor = None,
) -> Page[UserResponse]:
    """List users, oldest first."""
    page = await users.list_users(limit, cursor)
    set_next_link(request, response, page.next_cursor)
    return Page[UserResponse].model_validate(page)


# {% if cookiecutter.use_auth %}
@router.get("/me", responses=NOT_MODIFIED | problem_responses(401))
async def read_current_user(
    user: CurrentUser, request: Request, response: Response
) -> UserResponse:
    """Read one's own account."""
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.patch("/me", responses=problem_responses(401, 409, 412, 428))
async def update_current_user(
    data: UserPatch,
    users: UserServiceDep,
    expected: ExpectedVersions,
    actor: CurrentUser,
    request: Request,
    response: Response,
) -> UserResponse:
    """Change one's own account."""
    user = await users.update_user(actor.id, data, expected, actor)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


# {% endif %}
@router.get(
    "/{user_id:id}",
    responses=NOT_MODIFIED
    | problem_responses(
        # {% if cookiecutter.use_auth %}
        401,
        403,
        # {% endif %}
        404,
    ),
)
async def read_user(
    user_id: Id,
    users: UserServiceDep,
    request: Request,
    response: Response,
    # {% if cookiecutter.use_auth %}
    actor: CurrentUser,
    # {% endif %}
) -> UserResponse:
    """Read a user."""
    user = await users.get_user(
        user_id,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.patch(
    "/{user_id:id}",
    responses=problem_responses(
        # {% if cookiecutter.use_auth %}
        401,
        403,
        # {% endif %}
        404,
        409,
        412,
        428,
    ),
)
async def update_user(
    user_id: Id,
    data: UserPatch,
    users: UserServiceDep,
    expected: ExpectedVersions,
    request: Request,
    response: Response,
    # {% if cookiecutter.use_auth %}
    actor: CurrentUser,
    # {% endif %}
) -> UserResponse:
    """Change what the body names; the rest stays."""
    user = await users.update_user(
        user_id,
        data,
        expected,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.delete(
    "/{user_id:id}",
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
async def delete_user(
    user_id: Id,
    users: UserServiceDep,
    expected: ExpectedVersions,
    # {% if cookiecutter.use_auth %}
    actor: CurrentUser,
    # {% endif %}
) -> None:
    """Delete a user and their posts."""
    await users.delete_user(
        user_id,
        expected,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
