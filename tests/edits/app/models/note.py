from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Note(Base):
    """A line that somebody wants to remember."""

    __tablename__ = "notes"

    text: Mapped[str] = mapped_column(String(200))
