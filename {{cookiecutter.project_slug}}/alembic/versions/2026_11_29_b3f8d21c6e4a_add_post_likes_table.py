"""Add post_likes table.

Revision: b3f8d21c6e4a
Follows: 9c4e1d7a60f5
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b3f8d21c6e4a"
down_revision: str | None = "9c4e1d7a60f5"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "post_likes",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("post_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("user_id", "post_id", name=op.f("pk_post_likes")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_post_likes_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["post_id"],
            ["posts.id"],
            name=op.f("fk_post_likes_post_id_posts"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_post_likes_post_id_created_at_user_id",
        "post_likes",
        ["post_id", "created_at", "user_id"],
    )


def downgrade() -> None:
    op.drop_table("post_likes")
