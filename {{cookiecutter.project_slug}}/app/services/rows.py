"""Checks of rows that a service has read: that they exist, in the version that the client knows."""

from typing import TypeVar

from app.exceptions import NotFoundError, VersionMismatchError
from app.models.base import Base

T = TypeVar("T")


def require_found(row: T | None, name: str) -> T:
    """Return the row. Raises `NotFoundError` if it is None."""
    if row is None:
        raise NotFoundError(f"{name} not found")
    return row


def require_version(row: Base, if_match: frozenset[int] | None) -> None:
    """Raise `VersionMismatchError` unless `if_match` is None or holds the row's version.

    The row must be locked (`get_for_update`), so that no other transaction can change it after the
    check.
    """
    if if_match is not None and row.version not in if_match:
        raise VersionMismatchError(row.version)
