"""Who is calling, and what they may do."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.core.config import Settings
from app.dependencies.database import DatabaseDep, SessionDep
from app.models.user import User
from app.services import permissions
from app.services.auth_service import AuthService, SignInService

_oauth2_scheme = OAuth2PasswordBearer(tokenUrl="auth/token")


async def get_sign_in_service(request: Request, database: DatabaseDep) -> SignInService:
    return SignInService(database, request.app.state.settings)


SignInServiceDep = Annotated[SignInService, Depends(get_sign_in_service)]


async def get_current_user(
    request: Request, token: Annotated[str, Depends(_oauth2_scheme)], session: SessionDep
) -> User:
    """Return the caller. Raises `AuthenticationError`."""
    settings: Settings = request.app.state.settings
    return await AuthService(session, settings).authenticate(token)


CurrentUser = Annotated[User, Depends(get_current_user)]


async def require_admin(user: CurrentUser) -> User:
    """Return the caller if they are an admin. Raises `PermissionError`."""
    permissions.require_admin(user)
    return user
