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
    """A token sent by mail. It proves, once and for one purpose, that its user reads the mail.

    A new token replaces the previous one of the same purpose and address. The address is the
    account's, even for a token that confirms a new address: so each account has one of these at most,
    and nobody can replace another user's.
    """

    __tablename__ = "one_time_tokens"

    purpose: Mapped[str] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(255))
    # NULL for an invitation, whose user does not exist yet.
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
            info=refusal(ConflictError, "The token already exists"),
        ),
        Index(
            "uq_one_time_tokens_purpose_email",
            "purpose",
            func.lower(email),
            unique=True,
            info=refusal(ConflictError, "A token for {value} already exists"),
        ),
        Index("ix_one_time_tokens_user_id", "user_id"),
        CheckConstraint(
            "purpose IN ('verify_email', 'change_email', 'password_reset', 'invitation')",
            name="purpose",
            info=refusal(ValidationError, "The token has an unknown purpose"),
        ),
    )
