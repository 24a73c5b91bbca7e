"""Permission checks of the services. The gateway controls access, so they allow everything.

Services call them before every change; add your own rules here.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.http.gateway import GatewayCaller

Caller = GatewayCaller


def require_owner_or_admin(caller: Caller | None, owner_id: int) -> None:
    """Raise `PermissionError` unless the caller may access what belongs to `owner_id`."""


def owner_of_new(caller: Caller | None, owner_id: int) -> int:
    """Return the owner of a new resource. Raises as `require_owner_or_admin` does."""
    require_owner_or_admin(caller, owner_id)
    return owner_id


def record(session: AsyncSession, caller: Caller | None, event: str, **fields: object) -> None:
    """Do nothing: the gateway logs who has done what."""
