"""What services ask of every row."""

from typing import TypeVar

from app.exceptions import NotFoundError, VersionMismatchError
from app.models.base import Base

T = TypeVar("T")


def require_found(row: T | None, name: str) -> T:
    """Return the row. Raises `NotFoundError` if there is none."""
    if row is None:
        raise NotFoundError(f"{name} not found")
    return row


def require_version(row: Base, if_match: frozenset[int] | None) -> None:
    """Raise `VersionMismatchError` unless the row has one of the versions that `If-Match` names (None: any).

    The row has to be locked (`get_for_update`): nobody else can change it then before this
    transaction ends, and so no update is lost.
    """
    if if_match is not None and row.version not in if_match:
        raise VersionMismatchError(row.version)
