from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import (
    # {% if cookiecutter.use_auth %}
    CheckConstraint,
    # {% endif %}
    Index,
    String,
    # {% if cookiecutter.use_auth %}
    false,
    # {% endif %}
    func,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base

if TYPE_CHECKING:
    from datetime import datetime

    from app.models.post import Post


class User(Base):
    """A person who writes posts."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(String(255))
    display_name: Mapped[str] = mapped_column(String(100))
    is_active: Mapped[bool] = mapped_column(server_default=true())
    # {% if cookiecutter.use_auth %}
    # NULL: an imported account, which cannot sign in.
    hashed_password: Mapped[str | None] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), server_default="user")
    is_email_verified: Mapped[bool] = mapped_column(server_default=false())
    # Access tokens of an older generation count no more.
    token_generation: Mapped[int] = mapped_column(server_default="1")
    # {% endif %}

    # passive_deletes: the foreign key's ON DELETE CASCADE removes the posts without loading them.
    posts: Mapped[list[Post]] = relationship(
        back_populates="author",
        lazy="selectin",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )

    __table_args__ = (
        # Ann@example.com and ann@example.com are one mailbox to everyone but RFC 5321.
        Index("uq_users_email_lower", func.lower(email), unique=True),
        # The few who are not active are found without reading all who are.
        Index("ix_users_is_active_id", "is_active", "id"),
        # {% if cookiecutter.use_auth %}
        CheckConstraint("role IN ('user', 'admin')", name="role"),
        # {% endif %}
    )


class UserRow(NamedTuple):
    """What is read of a user; see `PostRow`."""

    id: int
    email: str
    display_name: str
    is_active: bool
    # {%- if cookiecutter.use_auth +%}
    # Not hashed_password: it is read where it is checked.
    role: str
    is_email_verified: bool
    token_generation: int
    # {%- endif +%}
    created_at: datetime
    updated_at: datetime
    version: int

    # {%- if cookiecutter.use_auth +%}

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    # {%- endif +%}
