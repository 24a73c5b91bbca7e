"""Who is calling, and what they may do."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.core.config import Settings
from app.dependencies.database import DatabaseDep, SessionDep
from app.models.user import UserRow
from app.services import permissions
from app.services.auth.auth_service import AuthService

_oauth2_scheme = OAuth2PasswordBearer(tokenUrl="auth/token", refreshUrl="auth/refresh")
_optional_oauth2_scheme = OAuth2PasswordBearer(
    tokenUrl="auth/token", refreshUrl="auth/refresh", auto_error=False
)


async def get_current_user(
    request: Request, token: Annotated[str, Depends(_oauth2_scheme)], session: SessionDep
) -> UserRow:
    """Return the caller. Raises `AuthenticationError`."""
    settings: Settings = request.app.state.settings
    return await AuthService(session, settings).authenticate(token)


CurrentUser = Annotated[UserRow, Depends(get_current_user)]


async def get_caller(
    request: Request, token: Annotated[str, Depends(_oauth2_scheme)], database: DatabaseDep
) -> UserRow:
    """Return the caller as `get_current_user` does, and keep no connection.

    For routes that hash a password: they open what they need once that is done.
    """
    settings: Settings = request.app.state.settings
    async with database.read() as session:
        return await AuthService(session, settings).authenticate(token)


Caller = Annotated[UserRow, Depends(get_caller)]


async def get_optional_user(
    request: Request,
    token: Annotated[str | None, Depends(_optional_oauth2_scheme)],
    session: SessionDep,
) -> UserRow | None:
    """Return the caller, or None if the request names none. Raises `AuthenticationError`."""
    return None if token is None else await get_current_user(request, token, session)


OptionalUser = Annotated[UserRow | None, Depends(get_optional_user)]


async def require_admin(user: CurrentUser) -> UserRow:
    """Return the caller if they are an admin. Raises `PermissionError`."""
    permissions.require_admin(user)
    return user


Admin = Annotated[UserRow, Depends(require_admin)]
