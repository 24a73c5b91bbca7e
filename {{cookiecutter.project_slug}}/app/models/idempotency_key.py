from sqlalchemy import Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.constraints import refusal
from app.exceptions import KeyInUseError
from app.models.base import Base


class IdempotencyKey(Base):
    """The stored response to a request that its client may repeat."""

    __tablename__ = "idempotency_keys"

    # The caller: the keys of different callers do not collide.
    scope: Mapped[str] = mapped_column(String(50))
    # A digest of the client's key; for an anonymous caller, of the key and the request.
    key: Mapped[str] = mapped_column(String(255))
    # A digest of the request, keyed if there is a key to it. It detects the use of a key for another
    # request.
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    # 0 if the response is not stored.
    status: Mapped[int]
    headers: Mapped[list[tuple[str, str]]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        UniqueConstraint(
            "scope",
            "key",
            name="uq_idempotency_keys_scope_key",
            info=refusal(KeyInUseError, "The Idempotency-Key is already in use"),
        ),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )
