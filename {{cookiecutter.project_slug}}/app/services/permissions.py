from app.exceptions import PermissionError
from app.models.user import UserRow


def require_owner_or_admin(actor: UserRow, owner_id: int) -> None:
    """Raise `PermissionError` unless the resource is the actor's own, or the actor an admin."""
    if actor.id != owner_id and not actor.is_admin:
        raise PermissionError("Only the owner or an administrator may do this")


def require_admin(actor: UserRow) -> None:
    """Raise `PermissionError` unless the actor is an admin."""
    if not actor.is_admin:
        raise PermissionError("Only an administrator may do this")
