from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.database.constraints import refusal
from app.exceptions import NotFoundError
from app.models.base import Base

if TYPE_CHECKING:
    from app.models.user import User


class Post(Base):
    """A text that a user has published."""

    __tablename__ = "posts"

    author_id: Mapped[int] = mapped_column(
        ForeignKey(
            "users.id", ondelete="CASCADE", info=refusal(NotFoundError, "Author {value} not found")
        )
    )
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)

    author: Mapped[User] = relationship(lazy="selectin")

    # One index per sort order of lists, ending in the id, so that a page is one range of it.
    __table_args__ = (
        Index("ix_posts_created_at_id", "created_at", "id"),
        Index("ix_posts_title_id", "title", "id"),
        Index("ix_posts_author_id_created_at_id", "author_id", "created_at", "id"),
        # For searching (see docs/decisions/0009).
        Index(
            "ix_posts_title_body_trigrams",
            "title",
            "body",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops", "body": "gin_trgm_ops"},
        ),
    )
