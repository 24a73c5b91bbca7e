"""The caller of a request, as the gateway in front of the service names them."""

from hashlib import sha256
from typing import Annotated, Final

from fastapi import Depends, FastAPI
from fastapi.requests import HTTPConnection

from app.core.caller_settings_without_auth import CallerSettings
from app.core.http.gateway import GatewayCaller, GatewayHeaderMiddleware
from app.core.http.problem_declarations import may_respond
from app.core.observability.requests import note_user
from app.exceptions import ValidationError
from app.services.permissions_without_auth import require_admin as check_admin
from app.services.permissions_without_auth import require_user as check_user
from app.services.permissions_without_auth import scope_if_user

ANYONE: Final = "anyone"  # the name of all unknown callers


def install_caller(app: FastAPI, settings: CallerSettings) -> None:
    """Accept the header that names the caller from trusted proxies only."""
    header = settings.caller_header
    if header:
        app.add_middleware(
            GatewayHeaderMiddleware, header=header, trusted=app.state.settings.proxy_networks
        )


async def get_caller(connection: HTTPConnection) -> GatewayCaller | None:
    """Return the caller that the header `CALLER_HEADER` names, or None.

    `GatewayHeaderMiddleware` removes the header unless a trusted proxy sent it. Raises
    `ValidationError` for two of them.
    """
    settings: CallerSettings = connection.app.state.settings
    names = connection.headers.getlist(settings.caller_header) if settings.caller_header else []
    if len(names) > 1:  # one of them may be the client's own
        raise ValidationError(f"The request has more than one {settings.caller_header} header")
    if not names or not names[0]:
        return None
    note_user(names[0])
    return GatewayCaller(names[0])


async def get_admitted_caller(connection: HTTPConnection) -> GatewayCaller | None:
    """Return the caller. The gateway admits them; add a rule of your own here."""
    return await get_caller(connection)


# Of open routes, and of all others.
OptionalCaller = Annotated[GatewayCaller | None, Depends(get_caller)]
Caller = Annotated[GatewayCaller | None, Depends(get_admitted_caller)]


async def require_admin(caller: Caller) -> GatewayCaller | None:
    """Return the caller. Raises as `require_admin` of the services does: put rules there."""
    check_admin(caller)
    return caller


@may_respond(403)
async def require_user(caller: Caller) -> GatewayCaller | None:
    """Return the caller if the gateway names a user. Raises `PermissionError`."""
    check_user(caller)
    return caller


async def admit_admin(connection: HTTPConnection) -> None:
    """Raise as `require_admin` does, before FastAPI parses the body and solves dependencies."""
    await require_admin(await get_caller(connection))


async def identify_caller(connection: HTTPConnection) -> str:
    """Return a unique, stable name of the caller, of up to 50 characters."""
    caller = await get_caller(connection)
    if caller is None:
        return ANYONE
    name = caller.name
    if len(name) > 40:
        name = f"#{sha256(name.encode()).hexdigest()[:40]}"
    return scope_if_user(caller) or f"caller {name}"
