from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.database.constraints import refusal
from app.exceptions import ConflictError, NotFoundError
from app.models.base import Base
from app.models.user import User


class Article(Base):
    """A text in the manual."""

    __tablename__ = "articles"

    editor_id: Mapped[int] = mapped_column(
        ForeignKey(
            "users.id", ondelete="CASCADE", info=refusal(NotFoundError, "Editor {value} not found")
        )
    )
    slug: Mapped[str] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(Text)
    summary: Mapped[str | None] = mapped_column(String(500))

    editor: Mapped[User] = relationship(lazy="selectin")

    __table_args__ = (
        UniqueConstraint("slug", info=refusal(ConflictError, "Slug {value} is taken")),
        Index("ix_articles_editor_id", "editor_id"),
    )
