from sqlalchemy import Column, DateTime, ForeignKey, Index, Table, func

from app.core.database.constraints import refusal
from app.core.database.metadata import metadata
from app.exceptions import NotFoundError

# Who likes which post. A plain table without id and version, because a like never changes.
post_likes = Table(
    "post_likes",
    metadata,
    # The key tells whether a user likes a post, and which posts they like.
    Column(
        "user_id",
        ForeignKey(
            "users.id", ondelete="CASCADE", info=refusal(NotFoundError, "User {value} not found")
        ),
        primary_key=True,
    ),
    Column(
        "post_id",
        ForeignKey(
            "posts.id",
            ondelete="CASCADE",
            # A like is data of the user, not of the author of the post.
            info=refusal(NotFoundError, "Post {value} not found") | {"personal": False},
        ),
        primary_key=True,
    ),
    Column("created_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    # The other direction: the likes of a post, counted, or in the order of its list.
    Index("ix_post_likes_post_id_created_at_user_id", "post_id", "created_at", "user_id"),
)
