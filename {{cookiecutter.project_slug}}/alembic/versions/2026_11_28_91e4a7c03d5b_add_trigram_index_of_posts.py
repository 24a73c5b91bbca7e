"""Add an index for searching posts, without blocking writes.

Revision: 91e4a7c03d5b
Follows: 0c5d8e2f7a34
"""

from collections.abc import Sequence

from alembic import op

revision: str = "91e4a7c03d5b"
down_revision: str | None = "0c5d8e2f7a34"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_posts_title_body_trigrams"
COLUMNS = ["title", "body"]


def upgrade() -> None:
    # As in the previous revision.
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(INDEX, "posts", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX,
            "posts",
            COLUMNS,
            if_not_exists=True,
            postgresql_concurrently=True,
            postgresql_using="gin",
            postgresql_ops=dict.fromkeys(COLUMNS, "gin_trgm_ops"),
        )
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(INDEX, "posts", if_exists=True, postgresql_concurrently=True)
        op.execute("RESET lock_timeout")
