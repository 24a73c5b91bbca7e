"""What every table has in common."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Identity, Table, func
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from app.core.database.metadata import metadata


class Base(DeclarativeBase):
    """A table with a bigint key, a version, and the times of its row's creation and last change.

    `eager_defaults` fetches what the server makes with RETURNING in the INSERT or UPDATE itself,
    so that a flush needs no `refresh()` after it: one statement instead of two.
    """

    __table__: ClassVar[Table]
    metadata = metadata
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=1)
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now(), sort_order=1
    )
    # Counts the changes of the row; SQLAlchemy raises it, and clients see it as the ETag.
    version: Mapped[int] = mapped_column(server_default="1", sort_order=1)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"eager_defaults": True, "version_id_col": cls.version}
