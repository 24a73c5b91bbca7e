"""Permission checks of the services. The gateway controls access, so they allow everything.

Services call them before every change; add your own rules here.
"""

import re

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.http.gateway import GatewayCaller
from app.exceptions import PermissionError
from app.models.user import scope_of_user

Caller = GatewayCaller


def id_of_user(caller: Caller | None) -> int | None:
    """Return the id of the user whom the gateway names, or None if it names none by an id.

    If your gateway names users by something else, such as their e-mail address, read the id here.
    """
    name = caller.name if caller else ""
    return int(name) if re.fullmatch("[1-9][0-9]{0,14}", name) else None


def scope_if_user(caller: Caller | None) -> str | None:
    """Return the name under which responses are stored for a user, or None for other callers."""
    user_id = id_of_user(caller)
    return None if user_id is None else scope_of_user(user_id)


def require_user(caller: Caller | None) -> int:
    """Return the id of the user whom the gateway names. Raises `PermissionError` if it names none."""
    user_id = id_of_user(caller)
    if user_id is None:
        raise PermissionError("Only a user may do this, and the gateway does not name one by an id")
    return user_id


def require_owner_or_admin(caller: Caller | None, owner_id: int) -> None:
    """Raise `PermissionError` unless the caller may access what belongs to `owner_id`."""


def owner_of_new(caller: Caller | None, owner_id: int) -> int:
    """Return the owner of a new resource. Raises as `require_owner_or_admin` does."""
    require_owner_or_admin(caller, owner_id)
    return owner_id


def require_admin(caller: Caller | None) -> None:
    """Raise `PermissionError` unless the caller may do what concerns more than one user."""


def record(session: AsyncSession, caller: Caller | None, event: str, **fields: object) -> None:
    """Do nothing: the gateway logs who has done what."""
