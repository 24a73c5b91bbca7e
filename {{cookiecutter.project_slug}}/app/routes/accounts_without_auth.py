"""Users: registering, changing and deleting them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status

from app.core.http.conditional_requests import set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.links import set_location
from app.core.http.openapi import link_to
from app.core.types import Id
from app.dependencies.if_match import IfMatch
from app.dependencies.services import public_service
from app.routes.users import UserServiceDep
from app.schemas.account import UserCreate, UserPatch
from app.schemas.user import UserResponse
from app.services.user_service import UserService

router = APIRouter(prefix="/users", tags=["Users"], route_class=EdgeRoute)

PublicUserServiceDep = Annotated[UserService, Depends(public_service(UserService))]


@router.post("", status_code=status.HTTP_201_CREATED, responses=link_to("user"))
async def create_user(
    data: UserCreate, users: PublicUserServiceDep, request: Request, response: Response
) -> UserResponse:
    """Register a user."""
    user = await users.create_user(data.model_dump())
    set_location(request, response, user.id)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.patch("/{user_id:id}")
async def update_user(
    user_id: Id,
    data: UserPatch,
    users: UserServiceDep,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> UserResponse:
    """Change a user. Omitted fields stay unchanged."""
    user = await users.update_user(user_id, data.columns(), if_match)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.delete("/{user_id:id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_user(user_id: Id, users: UserServiceDep, if_match: IfMatch) -> None:
    """Delete a user and what belongs to them."""
    await users.delete_user(user_id, if_match)
