"""What administrators decide: who may come in, and who may do what."""

from fastapi import APIRouter, Depends, Request, Response, status

from app.core.http.conditional_requests import set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.problems import problem_responses
from app.core.types import Id
from app.dependencies.auth.outbox import OutboxDep
from app.dependencies.auth.services import AccessServiceDep, OneTimeTokenServiceDep
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
    responses=problem_responses(401, 403),
)
async def create_invitation(
    data: InvitationRequest, tokens: OneTimeTokenServiceDep, outbox: OutboxDep
) -> MailResponse:
    """Have a mail sent by which its receiver may register, though registration is not open."""
    outbox.add(await tokens.mail_invitation(data.email))
    return MailResponse()


@router.patch("/users/{user_id:id}/access", tags=["Users"], dependencies=[Depends(require_admin)])
async def update_access(
    user_id: Id,
    data: AccessPatch,
    access: AccessServiceDep,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> UserResponse:
    """Give a user a role, deactivate or reactivate them. Their sessions and tokens end."""
    user = await access.change(user_id, data.columns(), if_match)
    set_etag(request, response, user.version)
    return UserResponse.model_validate(user)
