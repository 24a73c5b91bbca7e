from sqlalchemy import Column, DateTime, Index, LargeBinary, Table

from app.models.base import Base

# The use of each rate limit. A plain table without id and version, because only one statement
# reads and writes it.
rate_limits = Table(
    "rate_limits",
    Base.metadata,
    # A digest of the limit's name and its subject.
    Column("key", LargeBinary, primary_key=True),
    # When the limit is unused again. The row can be deleted from then on.
    Column("free_at", DateTime(timezone=True), nullable=False),
    Index("ix_rate_limits_free_at", "free_at"),
)
