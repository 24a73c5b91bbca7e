"""The caller of a request: the signed-in user."""

from typing import Annotated, Final

from fastapi import Depends, FastAPI
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer

from app.core.config import Settings
from app.core.http.edge import running_database
from app.core.http.problem_declarations import may_respond, requires_credentials
from app.core.observability.requests import note_user
from app.core.security.audit_metrics import count_audit_events
from app.dependencies.auth.refusals import install_audit_of_refusals
from app.models.user import User, scope_of_user
from app.services import permissions
from app.services.auth.auth_service import AuthService

ANYONE: Final = "anyone"  # the name of all unknown callers

# The only reader of the token of a request. It ignores the case of the scheme.
read_token = OAuth2PasswordBearer(
    tokenUrl="auth/token",
    refreshUrl="auth/refresh",
    scheme_name="OAuth2PasswordBearer",
    description="`username` is the e-mail address. Leave `client_id` and `client_secret` empty.",
    auto_error=False,
)

Token = Annotated[str | None, Depends(read_token)]


def install_caller(app: FastAPI, _settings: Settings) -> None:
    """Audit who is refused, and count audit events. Access tokens need no middleware."""
    install_audit_of_refusals(app)
    if app.state.metrics:
        app.state.metrics.extensions.append(count_audit_events)


@may_respond(401)
async def get_caller(connection: HTTPConnection, token: Token) -> User | None:
    """Return the signed-in user, or None if the request has no token.

    Raises `InvalidTokenError`. The user is read once per request, on a connection that is released
    before the request's own session starts.
    """
    if token is None:
        return None
    if not hasattr(connection.state, "caller"):
        settings: Settings = connection.app.state.settings
        database = running_database(connection.app)
        async with database.read() as session:
            user, contents = await AuthService(session, settings).authenticate(token)
        connection.state.caller, connection.state.access_token = user, contents
        note_user(user.id)
    caller: User = connection.state.caller
    return caller


OptionalCaller = Annotated[User | None, Depends(get_caller)]


@requires_credentials
@may_respond(401, 403)
async def get_current_user(caller: OptionalCaller) -> User:
    """Return the signed-in user. Raises `AuthenticationError`."""
    return permissions.require_signed_in(caller)


Caller = Annotated[User, Depends(get_current_user)]


@may_respond(401, 403)
async def require_admin(caller: Caller) -> User:
    """Return the caller if they are an administrator. Raises `PermissionError`."""
    permissions.require_admin(caller)
    return caller


async def require_user(caller: Caller) -> User:
    """Return the caller: every caller who is signed in is a user."""
    return caller


async def admit_admin(connection: HTTPConnection) -> None:
    """Raise as `require_admin` does, before FastAPI parses the body and solves dependencies."""
    caller = await get_caller(connection, await read_token(connection))
    await require_admin(await get_current_user(caller))


@may_respond(401)
async def identify_caller(connection: HTTPConnection) -> str:
    """Return a unique, stable name of the caller. Raises as `get_caller` does."""
    caller = await get_caller(connection, await read_token(connection))
    return scope_of_user(caller.id) if caller else ANYONE
