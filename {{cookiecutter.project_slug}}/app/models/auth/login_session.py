from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.constraints import refusal
from app.exceptions import ConflictError, NotFoundError
from app.models.base import Base


class LoginSession(Base):
    """A device on which a user is signed in: the family of refresh tokens that began there.

    The row stays one, however often its token is exchanged.
    """

    __tablename__ = "user_sessions"

    user_id: Mapped[int] = mapped_column(
        ForeignKey(
            "users.id", ondelete="CASCADE", info=refusal(NotFoundError, "User {value} not found")
        )
    )
    # Random, for a token with a guessed key would end somebody's session as a reused one does.
    key: Mapped[bytes] = mapped_column(LargeBinary)
    secret_digest: Mapped[bytes] = mapped_column(LargeBinary)
    # The one before: known for as long as its owner may have lost the answer to it.
    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(255))
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint(
            "key",
            name="uq_user_sessions_key",
            info=refusal(ConflictError, "The session has begun already"),
        ),
        Index("ix_user_sessions_user_id_last_used_at", "user_id", "last_used_at"),
    )
