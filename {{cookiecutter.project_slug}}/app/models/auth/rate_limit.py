from sqlalchemy import Column, DateTime, Index, LargeBinary, Table

from app.models.base import Base

# How much of each limit is used up. Not an entity: nobody reads a row but the one statement that
# counts, so it has neither id nor version, and is as small as can be.
rate_limits = Table(
    "rate_limits",
    Base.metadata,
    # A digest of the limit's name and of whom it counts: 32 bytes, however long those are.
    Column("key", LargeBinary, primary_key=True),
    # When nothing will be used up any more, if nothing is added. The row is needless from then on.
    Column("free_at", DateTime(timezone=True), nullable=False),
    Index("ix_rate_limits_free_at", "free_at"),
)
