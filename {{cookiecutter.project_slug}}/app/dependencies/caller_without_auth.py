"""Who makes a request: whom the gateway in front of the service names, or nobody."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from app.core.caller_settings_without_auth import CallerSettings
from app.core.http.gateway import GatewayCaller, GatewayHeaderMiddleware


def install_caller(app: FastAPI, settings: CallerSettings) -> None:
    """Let the header that names the caller in from trusted proxies only."""
    header = settings.caller_header
    if header:
        app.add_middleware(
            GatewayHeaderMiddleware, header=header, trusted=app.state.settings.trusted_proxies
        )


async def get_caller(request: Request) -> GatewayCaller | None:
    """Return whom a trusted proxy names in the header `CALLER_HEADER`, or None.

    `GatewayHeaderMiddleware` has removed the header if any other client sent it.
    """
    settings: CallerSettings = request.app.state.settings
    name = request.headers.get(settings.caller_header) if settings.caller_header else None
    return GatewayCaller(name) if name else None


# The gateway decides who gets here, so both are the same.
OptionalCaller = Annotated[GatewayCaller | None, Depends(get_caller)]
Caller = Annotated[GatewayCaller | None, Depends(get_caller)]


async def require_admin(caller: Caller) -> GatewayCaller | None:
    """Return the caller. The gateway lets nobody else in; a rule of your own goes here."""
    return caller


async def name_caller(request: Request) -> str:
    """Return a name for the caller, the same in each of their requests."""
    caller = await get_caller(request)
    return f"caller {caller.name}" if caller else "anyone"
