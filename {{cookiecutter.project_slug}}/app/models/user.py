import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app import exceptions
from app.core.database.constraints import refusal
from app.models.base import Base


def scope_of_user(user_id: int | str) -> str:
    """Return the unique name of a user among callers."""
    return f"user {user_id}"


class User(Base):
    """A person who uses the service."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(sa.String(255))
    display_name: Mapped[str] = mapped_column(sa.String(100))
    is_active: Mapped[bool] = mapped_column(server_default=sa.true())
    # {% if cookiecutter.use_auth %}
    # NULL for an imported account, which can sign in after a password reset.
    hashed_password: Mapped[str | None] = mapped_column(sa.String(255), info={"secret": True})
    role: Mapped[str] = mapped_column(sa.String(20), server_default="user")
    is_email_verified: Mapped[bool] = mapped_column(server_default=sa.false())
    # A new address. It takes the place of `email` once it is confirmed.
    pending_email: Mapped[str | None] = mapped_column(sa.String(255))
    # Access tokens of earlier generations are revoked.
    token_generation: Mapped[int] = mapped_column(server_default="1")
    # {% endif %}

    __table_args__ = (
        # In practice addresses are case-insensitive, though RFC 5321 does not say so.
        sa.Index(
            "uq_users_email_lower",
            sa.func.lower(email),
            unique=True,
            info=refusal(
                exceptions.EmailTakenError, "E-mail address {value} is already registered"
            ),
        ),
        # For listing the few inactive users.
        sa.Index("ix_users_is_active_id", "is_active", "id"),
        # For searching (see docs/decisions/0009).
        sa.Index(
            "ix_users_email_display_name_trigrams",
            "email",
            "display_name",
            postgresql_using="gin",
            postgresql_ops={"email": "gin_trgm_ops", "display_name": "gin_trgm_ops"},
        ),
        # {% if cookiecutter.use_auth %}
        sa.CheckConstraint(
            "role IN ('user', 'admin')",
            name="role",
            info=refusal(exceptions.ConflictError, "The role must be user or admin"),
        ),
        # {% endif %}
    )
    # {%- if cookiecutter.use_auth +%}

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    # {%- endif +%}
