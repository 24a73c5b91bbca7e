"""Callers who have a fresh sign-in, for sensitive actions."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.http.problem_declarations import may_respond
from app.core.security.tokens import AccessToken
from app.dependencies.caller import Caller
from app.dependencies.settings import SettingsDep
from app.models.user import User
from app.services.auth.step_up import require_fresh_sign_in


async def get_access_token(connection: HTTPConnection, _: Caller) -> AccessToken:
    """Return the contents of the caller's access token."""
    token: AccessToken = connection.state.access_token
    return token


AccessTokenDep = Annotated[AccessToken, Depends(get_access_token)]


@may_respond(401, 403)
async def get_fresh_caller(caller: Caller, token: AccessTokenDep, settings: SettingsDep) -> User:
    """Return the caller if their sign-in is fresh. Raises `SignInNotFreshError`."""
    require_fresh_sign_in(token, settings)
    return caller


FreshCaller = Annotated[User, Depends(get_fresh_caller)]
