from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.constraints import refusal
from app.exceptions import ConflictError, NotFoundError, ValidationError
from app.models.base import Base


class OneTimeToken(Base):
    """What was sent by mail to prove, once and for one purpose, that its receiver reads the mail.

    A new one of the same purpose and address takes the place of the old one.
    """

    __tablename__ = "one_time_tokens"

    purpose: Mapped[str] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(255))
    # NULL: an invitation, which comes before its user.
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey(
            "users.id", ondelete="CASCADE", info=refusal(NotFoundError, "User {value} not found")
        )
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint(
            "digest",
            name="uq_one_time_tokens_digest",
            info=refusal(ConflictError, "The token is in use"),
        ),
        Index(
            "uq_one_time_tokens_purpose_email",
            "purpose",
            func.lower(email),
            unique=True,
            info=refusal(ConflictError, "A mail to {value} is on its way"),
        ),
        Index("ix_one_time_tokens_user_id", "user_id"),
        CheckConstraint(
            "purpose IN ('verify_email', 'password_reset', 'invitation')",
            name="purpose",
            info=refusal(ValidationError, "A token has no such purpose"),
        ),
    )
