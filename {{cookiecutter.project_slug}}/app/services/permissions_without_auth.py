"""What callers may do: everything, for the gateway decides who gets here.

Services call these rules before they change anything, so rules of your own go here.
"""

from app.core.http.gateway import GatewayCaller

Caller = GatewayCaller


def require_owner_or_admin(caller: Caller | None, owner_id: int) -> None:
    """Raise `PermissionError` unless the caller may change what belongs to a user."""
