"""Accounts: registering, changing and deleting them."""

from fastapi import APIRouter, Depends, Request, Response, status

from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.links import set_location
from app.core.http.openapi import link_to, only_if
from app.core.types import Id
from app.dependencies.auth.client import ClientDep
from app.dependencies.auth.services import AccountServiceDep, RegistrationServiceDep
from app.dependencies.auth.step_up import get_fresh_caller
from app.dependencies.caller import Caller
from app.dependencies.if_match import IfMatch
from app.schemas.account import UserCreate, UserPatch
from app.schemas.auth.account import MailResponse
from app.schemas.user import UserResponse

router = APIRouter(prefix="/users", tags=["Users"], route_class=EdgeRoute)


@router.get("/me", responses=NOT_MODIFIED)
async def read_current_user(caller: Caller, request: Request, response: Response) -> UserResponse:
    """Read your own account."""
    set_etag(request, response, caller.version)
    return UserResponse.model_validate(caller)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=UserResponse,
    responses=link_to("user")
    | only_if(
        "require_verified_email",
        {202: {"model": MailResponse, "description": "Registration continues by mail"}},
    ),
)
async def create_user(
    data: UserCreate,
    registration: RegistrationServiceDep,
    client: ClientDep,
    request: Request,
    response: Response,
) -> UserResponse | Response:
    """Register a user."""
    user = await registration.register(
        email=data.email,
        display_name=data.display_name,
        password=data.password,
        invitation=data.invitation,
        client=client,
    )
    if user is None:
        return Response(
            MailResponse().model_dump_json(),
            status_code=status.HTTP_202_ACCEPTED,
            media_type="application/json",
        )
    set_location(request, response, user.id)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.patch("/me")
async def update_current_user(
    data: UserPatch,
    caller: Caller,
    accounts: AccountServiceDep,
    if_match: IfMatch,
    client: ClientDep,
    request: Request,
    response: Response,
) -> UserResponse:
    """Change your own account. Omitted fields stay unchanged.

    If the service sends mail, a new e-mail address is pending until it is confirmed by the link in a
    mail. Send it again to get another mail, or send the current address to cancel the change.
    """
    user = await accounts.update(caller.id, data.columns(), data.current_password, if_match, client)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.patch("/{user_id:id}")
async def update_user(
    user_id: Id,
    data: UserPatch,
    accounts: AccountServiceDep,
    if_match: IfMatch,
    client: ClientDep,
    request: Request,
    response: Response,
) -> UserResponse:
    """Change a user. Omitted fields stay unchanged."""
    user = await accounts.update(user_id, data.columns(), data.current_password, if_match, client)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.delete(
    "/{user_id:id}",
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Depends(get_fresh_caller)],
)
async def delete_user(user_id: Id, accounts: AccountServiceDep, if_match: IfMatch) -> None:
    """Delete a user and what belongs to them. Requires a fresh sign-in."""
    await accounts.delete(user_id, if_match)
