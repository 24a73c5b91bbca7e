from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Hint(Base):
    """A hint that somebody gives."""

    __tablename__ = "hints"

    text: Mapped[str] = mapped_column(String(200))
