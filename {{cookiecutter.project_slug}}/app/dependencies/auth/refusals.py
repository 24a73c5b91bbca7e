"""Audit events of requests that were refused."""

from fastapi import FastAPI, Request, Response

from app.core.http.paths import public_path
from app.core.http.problem_handlers import respond_to_app_error
from app.core.security.audit import audit
from app.dependencies.auth.client import get_client
from app.exceptions import PermissionError, SignInNotFreshError
from app.models.user import User


def install_audit_of_refusals(app: FastAPI) -> None:
    """Audit each request that is refused with 403, or because the sign-in is not fresh."""
    for kind in (PermissionError, SignInNotFreshError):
        # Starlette's types allow a handler for requests or for WebSockets, not for both.
        app.add_exception_handler(kind, _refuse)  # type: ignore[arg-type]


async def _refuse(request: Request, error: Exception) -> Response | None:
    caller: User | None = getattr(request.state, "caller", None)
    audit(
        "access_refused",
        actor_id=caller.id if caller else None,
        address=(await get_client(request)).address,
        method=request.scope.get("method"),
        path=public_path(request.scope),
        outcome=str(error),
    )
    return await respond_to_app_error(request, error)
