"""Access control by administrators: invitations, roles, deactivation, sessions."""

from fastapi import APIRouter, Depends, Request, Response, status

from app.core.http.conditional_requests import set_etag
from app.core.http.edge import EdgeRoute
from app.core.types import Id
from app.dependencies.auth.services import AccessServiceDep
from app.dependencies.auth.step_up import get_fresh_caller
from app.dependencies.caller import require_admin
from app.dependencies.if_match import IfMatch
from app.schemas.auth.access import AccessPatch
from app.schemas.auth.account import InvitationRequest, MailResponse
from app.schemas.user import UserResponse

router = APIRouter(route_class=EdgeRoute)


@router.post(
    "/auth/invitations",
    tags=["Auth"],
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[Depends(require_admin)],
)
async def create_invitation(data: InvitationRequest, access: AccessServiceDep) -> MailResponse:
    """Mail an invitation to register."""
    await access.invite(data.email)
    return MailResponse()


@router.patch(
    "/users/{user_id:id}/access",
    tags=["Users"],
    dependencies=[Depends(require_admin), Depends(get_fresh_caller)],
)
async def update_access(
    user_id: Id,
    data: AccessPatch,
    access: AccessServiceDep,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> UserResponse:
    """Change a user's role, deactivate or reactivate them. Revokes their sessions and tokens.

    Requires a fresh sign-in.
    """
    user = await access.change(user_id, data.columns(), if_match)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)


@router.delete(
    "/users/{user_id:id}/sessions",
    tags=["Users"],
    status_code=status.HTTP_204_NO_CONTENT,
    dependencies=[Depends(require_admin)],
)
async def delete_sessions_of_user(user_id: Id, access: AccessServiceDep) -> None:
    """Sign a user out everywhere. Revokes all their tokens."""
    await access.sign_out(user_id)
