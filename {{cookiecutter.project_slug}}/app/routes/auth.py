from typing import Annotated

from fastapi import APIRouter, Form, Response

from app.core.limits import BoundedRoute
from app.core.problems import problem_responses
from app.dependencies.auth import SignInServiceDep
from app.schemas.token import TokenRequest, TokenResponse

router = APIRouter(prefix="/auth", tags=["Auth"], route_class=BoundedRoute)


@router.post("/token", responses=problem_responses(401))
async def create_token(
    form: Annotated[TokenRequest, Form()], service: SignInServiceDep, response: Response
) -> TokenResponse:
    """Exchange an e-mail address and a password for an access token."""
    response.headers["Cache-Control"] = "no-store"  # RFC 6749, section 5.1
    return await service.sign_in(form.username, form.password)
