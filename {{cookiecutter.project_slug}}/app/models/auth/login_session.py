from datetime import datetime

from sqlalchemy import ARRAY, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.constraints import refusal
from app.exceptions import ConflictError, NotFoundError
from app.models.base import Base


class LoginSession(Base):
    """A device on which a user is signed in, with its family of refresh tokens.

    Refreshing updates the row.
    """

    __tablename__ = "user_sessions"

    user_id: Mapped[int] = mapped_column(
        ForeignKey(
            "users.id", ondelete="CASCADE", info=refusal(NotFoundError, "User {value} not found")
        )
    )
    # Random: a token with a guessed key would end the session, as a reused token does.
    key: Mapped[bytes] = mapped_column(LargeBinary)
    secret_digest: Mapped[bytes] = mapped_column(LargeBinary)
    # The previous secret, which a client may repeat if it has lost the response.
    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(255))
    # How the user has signed in (RFC 8176), at `created_at`.
    methods: Mapped[list[str]] = mapped_column(ARRAY(String(20)), server_default="{pwd}")
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint(
            "key",
            name="uq_user_sessions_key",
            info=refusal(ConflictError, "The session already exists"),
        ),
        Index("ix_user_sessions_user_id_last_used_at", "user_id", "last_used_at"),
    )
