"""The base class of all tables."""

from datetime import datetime
from typing import Any, ClassVar
from zlib import crc32

from sqlalchemy import BigInteger, DateTime, Identity, Table, func
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from app.core.database.metadata import metadata


class Base(DeclarativeBase):
    """A table with a bigint key, a version, and the times of creation and of the last change.

    `eager_defaults` fetches server-generated values by RETURNING in the INSERT or UPDATE itself,
    which saves a `refresh()` after the flush.
    """

    __table__: ClassVar[Table]
    metadata = metadata
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=1)
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now(), sort_order=1
    )
    # Incremented by SQLAlchemy on each change. Clients see it as the ETag.
    version: Mapped[int] = mapped_column(server_default="1", sort_order=1)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"eager_defaults": True, "version_id_col": cls.version}


def etag_of(version: int, *ids: int | list[int] | None) -> int:
    """Return the number of an `ETag` that changes with the version, and with ids in the representation.

    These ids change without a new version when the row that one refers to is deleted: by ON DELETE
    SET NULL, or by ON DELETE CASCADE in a table of links.
    """
    return version * 10**9 + crc32(repr(ids).encode()) % 10**9
