"""Signing in and out, and the sessions of a user."""

from typing import Annotated

from fastapi import APIRouter, Form, Response, status

from app.core.http.edge import EdgeRoute
from app.core.http.openapi import Tag
from app.core.types import Id
from app.dependencies.auth.client import ClientDep
from app.dependencies.auth.services import (
    LoginSessionServiceDep,
    RefreshServiceDep,
    SignInServiceDep,
    SignOutServiceDep,
)
from app.schemas.auth.token import (
    LogoutRequest,
    RefreshRequest,
    SessionResponse,
    TokenRequest,
    TokenResponse,
)

router = APIRouter(
    prefix="/auth",
    tags=[Tag("Auth", "Signing in and out, passwords, and e-mail addresses.")],
    route_class=EdgeRoute,
)


@router.post("/token")
async def create_token(
    form: Annotated[TokenRequest, Form()],
    service: SignInServiceDep,
    client: ClientDep,
    response: Response,
) -> TokenResponse:
    """Exchange an e-mail address and a password for an access token and a refresh token."""
    response.headers["Cache-Control"] = "no-store"  # RFC 6749, section 5.1
    signed_in = await service.sign_in(form.username, form.password, client)
    return TokenResponse.model_validate(signed_in.tokens)


@router.post("/refresh")
async def refresh_token(
    form: Annotated[RefreshRequest, Form()],
    service: RefreshServiceDep,
    client: ClientDep,
    response: Response,
) -> TokenResponse:
    """Exchange a refresh token for a new access token and the next refresh token.

    Reusing a refresh token ends the session, unless the same client repeats it within seconds.
    """
    response.headers["Cache-Control"] = "no-store"
    return TokenResponse.model_validate(await service.refresh(form.refresh_token, client))


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(form: Annotated[LogoutRequest, Form()], service: SignOutServiceDep) -> None:
    """End the session of a refresh token, with its access tokens."""
    await service.log_out(form.refresh_token)


@router.get("/sessions")
async def list_sessions(login_sessions: LoginSessionServiceDep) -> list[SessionResponse]:
    """List your sessions, most recently used first."""
    return [SessionResponse.model_validate(row) for row in await login_sessions.list_active()]


@router.delete("/sessions", status_code=status.HTTP_204_NO_CONTENT)
async def delete_sessions(login_sessions: LoginSessionServiceDep) -> None:
    """Sign out everywhere. Revokes all access and refresh tokens."""
    await login_sessions.revoke_all()


@router.delete("/sessions/{session_id:id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_session(session_id: Id, login_sessions: LoginSessionServiceDep) -> None:
    """End a session, with its access and refresh tokens."""
    await login_sessions.revoke(session_id)
