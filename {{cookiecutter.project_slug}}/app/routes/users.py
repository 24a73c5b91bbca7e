from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.openapi import link_to
from app.core.http.problems import problem_responses
from app.core.types import Id, Text

# {%- if cookiecutter.use_auth +%}
from app.dependencies.auth.services import AccessServiceDep, EmailServiceDep, RegistrationServiceDep
from app.dependencies.auth.caller import CurrentUser, OptionalUser, get_optional_user, require_admin
from app.dependencies.auth.client import ClientDep

# {%- endif +%}
from app.dependencies.idempotency import IdempotentRoute, claim_key
from app.dependencies.pagination import PageCursor, PageLimit
from app.dependencies.preconditions import ExpectedVersions
from app.dependencies.services import UserServiceDep
from app.core.http.links import set_location, set_next_link

# {%- if cookiecutter.use_auth +%}
from app.schemas.auth.account import MailResponse, Role

# {%- endif +%}
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
    response_model=UserResponse,
    dependencies=[
        # {% if cookiecutter.use_auth %}
        Depends(get_optional_user),
        # {% endif %}
        Depends(claim_key),
    ],
    responses=link_to("user")
    # {% if cookiecutter.use_auth %}
    | {202: {"model": MailResponse, "description": "Registration goes on by mail"}}
    # {% endif %}
    | problem_responses(
        # {% if cookiecutter.use_auth %}
        401,
        403,
        # {% endif %}
        409,
        # {% if cookiecutter.use_auth %}
        429,
        # {% endif %}
    ),
)
async def create_user(
    data: UserCreate,
    users: UserServiceDep,
    # {% if cookiecutter.use_auth %}
    registration: RegistrationServiceDep,
    actor: OptionalUser,
    client: ClientDep,
    # {% endif %}
    request: Request,
    response: Response,
) -> UserResponse | Response:
    """Register a user."""
    # {% if cookiecutter.use_auth %}
    admission = await registration.admit(data, actor, client)
    if admission is None:
        return Response(
            MailResponse().model_dump_json(),
            status_code=status.HTTP_202_ACCEPTED,
            media_type="application/json",
        )
    # {% endif %}
    user = await users.create_user(
        data,
        # {% if cookiecutter.use_auth %}
        admission,
        # {% endif %}
    )
    # {% if cookiecutter.use_auth %}
    await registration.welcome(user)
    # {% endif %}
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
    q: Annotated[
        Text | None,
        Query(min_length=1, max_length=100, description="Only with this text in address or name."),
    ] = None,
    is_active: Annotated[bool | None, Query(description="Only active, or only others.")] = None,
    # {% if cookiecutter.use_auth %}
    role: Annotated[Role | None, Query(description="Only users with this role.")] = None,
    # {% endif %}
    limit: PageLimit = 20,
    cursor: PageCursor = None,
) -> Page[UserResponse]:
    """List users, oldest first."""
    page = await users.list_users(
        limit,
        cursor,
        text=q,
        is_active=is_active,
        # {% if cookiecutter.use_auth %}
        role=role,
        # {% endif %}
    )
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


@router.patch("/me", responses=problem_responses(401, 403, 409, 412, 428, 429))
async def update_current_user(
    data: UserPatch,
    users: UserServiceDep,
    emails: EmailServiceDep,
    expected: ExpectedVersions,
    actor: CurrentUser,
    client: ClientDep,
    request: Request,
    response: Response,
) -> UserResponse:
    """Change one's own account."""
    old_email = await emails.authorize_change(data, actor.id, actor, client)
    user = await users.update_user(actor.id, data, expected, actor)
    await emails.follow_change(user, old_email, actor)
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
        # {% if cookiecutter.use_auth %}
        429,
        # {% endif %}
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
    emails: EmailServiceDep,
    actor: CurrentUser,
    client: ClientDep,
    # {% endif %}
) -> UserResponse:
    """Change what the body names; the rest stays."""
    # {% if cookiecutter.use_auth %}
    old_email = await emails.authorize_change(data, user_id, actor, client)
    # {% endif %}
    user = await users.update_user(
        user_id,
        data,
        expected,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
    # {% if cookiecutter.use_auth %}
    await emails.follow_change(user, old_email, actor)
    # {% endif %}
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
        # {% if cookiecutter.use_auth %}
        409,
        # {% endif %}
        412,
        428,
    ),
)
async def delete_user(
    user_id: Id,
    users: UserServiceDep,
    expected: ExpectedVersions,
    # {% if cookiecutter.use_auth %}
    access: AccessServiceDep,
    actor: CurrentUser,
    # {% endif %}
) -> None:
    """Delete a user and their posts."""
    # {% if cookiecutter.use_auth %}
    await access.authorize_deletion(user_id, actor)
    # {% endif %}
    await users.delete_user(
        user_id,
        expected,
        # {% if cookiecutter.use_auth %}
        actor,
        # {% endif %}
    )
