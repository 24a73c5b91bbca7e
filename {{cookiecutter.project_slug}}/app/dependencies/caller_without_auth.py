"""The caller of a request, as the gateway in front of the service names them."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from app.core.caller_settings_without_auth import CallerSettings
from app.core.http.gateway import GatewayCaller, GatewayHeaderMiddleware


def install_caller(app: FastAPI, settings: CallerSettings) -> None:
    """Accept the header that names the caller from trusted proxies only."""
    header = settings.caller_header
    if header:
        app.add_middleware(
            GatewayHeaderMiddleware, header=header, trusted=app.state.settings.trusted_proxies
        )


async def get_caller(request: Request) -> GatewayCaller | None:
    """Return the caller that the header `CALLER_HEADER` names, or None.

    `GatewayHeaderMiddleware` removes the header unless a trusted proxy sent it.
    """
    settings: CallerSettings = request.app.state.settings
    name = request.headers.get(settings.caller_header) if settings.caller_header else None
    return GatewayCaller(name) if name else None


# The gateway controls access, so the two do not differ.
OptionalCaller = Annotated[GatewayCaller | None, Depends(get_caller)]
Caller = Annotated[GatewayCaller | None, Depends(get_caller)]


async def require_admin(caller: Caller) -> GatewayCaller | None:
    """Return the caller. The gateway controls access; add a rule of your own here."""
    return caller


async def identify_caller(request: Request) -> str:
    """Return a unique and constant name of the caller."""
    caller = await get_caller(request)
    return f"caller {caller.name}" if caller else "anyone"
