from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.links import set_next_link
from app.core.http.openapi import Tag
from app.core.types import Id
from app.dependencies.caller import require_admin
from app.dependencies.services import service
from app.schemas.page import Page
from app.schemas.user import UserQuery, UserResponse
from app.services.user_service import UserService

router = APIRouter(
    prefix="/users", tags=[Tag("Users", "The people who use the service.")], route_class=EdgeRoute
)

UserServiceDep = Annotated[UserService, Depends(service(UserService))]


@router.get("", dependencies=[Depends(require_admin)])
async def list_users(
    users: UserServiceDep,
    query: Annotated[UserQuery, Query()],
    request: Request,
    response: Response,
) -> Page[UserResponse]:
    """List users, oldest first."""
    page = await users.list_users(query)
    set_next_link(request, response, page.next_cursor)
    return Page[UserResponse].model_validate(page)


@router.get("/{user_id:id}", responses=NOT_MODIFIED)
async def read_user(
    user_id: Id, users: UserServiceDep, request: Request, response: Response
) -> UserResponse:
    """Read a user."""
    user = await users.get_user(user_id)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)
