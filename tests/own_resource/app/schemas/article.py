from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from app.core.types import Id, Visible
from app.schemas.base import Nullable, PatchBody, RequestBody, ResponseBody

Slug = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,100}$", examples=["getting-started"])]
ArticleText = Annotated[str, StringConstraints(min_length=1, max_length=10_000), Visible()]
Summary = Annotated[str, StringConstraints(min_length=1, max_length=500), Visible()]


class ArticleCreate(RequestBody):
    """POST body."""

    editor_id: Id
    slug: Slug
    text: ArticleText
    summary: Summary | None = None


class ArticlePatch(PatchBody):
    """PATCH body. An article keeps its slug."""

    text: ArticleText | None = None
    summary: Annotated[Summary | None, Nullable] = None


class ArticleResponse(ResponseBody):
    id: Id
    editor_id: Id
    slug: str
    text: str
    summary: str | None
    created_at: datetime
    updated_at: datetime
