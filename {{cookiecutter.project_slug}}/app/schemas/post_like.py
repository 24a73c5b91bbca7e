from datetime import datetime
from typing import Final

from pydantic import AliasChoices, AliasGenerator, AliasPath, ConfigDict, Field

from app.core.types import Id
from app.schemas.base import ResponseBody
from app.schemas.post import PostResponse, PostSummary, PostWithAuthor

# Rows have the post in an attribute, beside its likes.
_FROM_ROW: Final = AliasGenerator(
    validation_alias=lambda name: AliasChoices(AliasPath("post", name), name)
)


class PostLikes(ResponseBody):
    """The likes of a post, as the caller sees them."""

    model_config = ConfigDict(alias_generator=_FROM_ROW)

    # By these names alone: to look in the post first would raise and catch an error for each.
    like_count: int = Field(
        validation_alias="like_count", description="How many users like the post."
    )
    liked_by_me: bool = Field(
        validation_alias="liked_by_me",
        description="Whether the caller likes the post; false for an unknown caller.",
    )


class PostSummaryWithLikes(PostLikes, PostSummary):
    """A post without its body, for lists."""


class PostWithLikes(PostLikes, PostResponse):
    """A post with its likes."""


class PostWithAuthorAndLikes(PostLikes, PostWithAuthor):
    """A post with its author and its likes."""


class PostLikeResponse(ResponseBody):
    """A user who likes a post."""

    user_id: Id
    display_name: str
    liked_at: datetime
