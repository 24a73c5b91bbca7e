"""Permission checks of the services. The caller is None if they are not signed in."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security.audit import audit_on_commit
from app.exceptions import AuthenticationError, PermissionError
from app.models.user import User

Caller = User

ADMIN_ONLY: Final = "Only an administrator may do this"
OWNER_OR_ADMIN_ONLY: Final = "Only the owner or an administrator may do this"


def require_signed_in(caller: Caller | None) -> Caller:
    """Return the caller. Raises `AuthenticationError` if they are not signed in."""
    if caller is None:
        raise AuthenticationError("Not authenticated")
    return caller


def id_of_user(caller: Caller | None) -> int | None:
    """Return the id of the caller, or None if they are not signed in."""
    return caller.id if caller else None


def require_user(caller: Caller | None) -> int:
    """Return the id of the caller. Raises `AuthenticationError` if they are not signed in."""
    return require_signed_in(caller).id


def require_owner_or_admin(caller: Caller | None, owner_id: int) -> None:
    """Raise `PermissionError` unless the caller owns the resource or is an administrator."""
    caller = require_signed_in(caller)
    if caller.id != owner_id and not caller.is_admin:
        raise PermissionError(OWNER_OR_ADMIN_ONLY)


def owner_of_new(caller: Caller | None, owner_id: int | None) -> int:
    """Return the owner of a new resource: the given one, or else the caller.

    Raises as `require_owner_or_admin` does.
    """
    caller = require_signed_in(caller)
    if owner_id is None:
        return caller.id
    require_owner_or_admin(caller, owner_id)
    return owner_id


def require_admin(caller: Caller | None) -> None:
    """Raise `PermissionError` unless the caller is an administrator."""
    if not require_signed_in(caller).is_admin:
        raise PermissionError(ADMIN_ONLY)


def record(session: AsyncSession, caller: Caller | None, event: str, **fields: object) -> None:
    """Log what the caller has done, once the session's transaction has committed."""
    audit_on_commit(session, event, actor_id=caller.id if caller else None, **fields)
