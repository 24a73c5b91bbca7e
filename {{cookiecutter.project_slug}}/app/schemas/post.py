from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, computed_field

from app.core.types import Id, Trimmed, Visible
from app.schemas.base import PatchBody, RequestBody, ResponseBody
from app.schemas.ownership import OwnerId

WORDS_PER_MINUTE: Final = 200
# Fits the longest title and body in any script: a character has up to four bytes in UTF-8.
MAX_POST_BYTES: Final = 4 * (200 + 50_000) + 1000

Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    Field(examples=["Hello"]),
    Visible(one_line=True),
    Trimmed,
]
Body = Annotated[
    str,
    StringConstraints(min_length=1, max_length=50_000),
    Field(examples=["My first post"]),
    Visible(),
]
# `-` means descending.
PostSort = Literal["-created_at", "created_at", "title", "-title"]


class PostFields(RequestBody):
    """The text of a post."""

    title: Title
    body: Body


class PostCreate(PostFields):
    """POST body."""

    author_id: OwnerId


class PostPatch(PatchBody):
    """PATCH body. The author cannot be changed."""

    title: Title | None = None
    body: Body | None = None


class Author(ResponseBody):
    """The public data of an author."""

    id: Id
    display_name: str


class PostSummary(ResponseBody):
    """A post without its body, for lists."""

    id: Id
    author_id: Id
    title: str
    created_at: datetime
    updated_at: datetime


class PostResponse(PostSummary):
    body: str

    @computed_field(description="Reading time in minutes, at 200 words per minute.")
    def reading_minutes(self) -> int:
        return max(1, round(len(self.body.split()) / WORDS_PER_MINUTE))


class PostWithAuthor(PostResponse):
    author: Author
