"""Add version of posts, which is their ETag.

Revision: 8e35d7b1c04f
Follows: b76f971d3e55
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "8e35d7b1c04f"
down_revision: str | None = "b76f971d3e55"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("posts", sa.Column("version", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    op.drop_column("posts", "version")
