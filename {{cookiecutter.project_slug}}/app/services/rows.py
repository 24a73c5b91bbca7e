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


def require_version(row: Base, if_match: frozenset[int] | None, etag: int | None = None) -> None:
    """Raise `VersionMismatchError` unless `if_match` is None or holds the row's version.

    `etag` is given by rows whose `ETag` is another number (see `etag_of`). The row must be locked
    (`get_for_update`), so that no other transaction can change it after the check.
    """
    current = row.version if etag is None else etag
    if if_match is not None and current not in if_match:
        raise VersionMismatchError(current)
