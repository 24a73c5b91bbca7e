"""Add version of one-time tokens, which is their ETag.

Revision: a60b8e4d17c3
Follows: f27a9d1e4b60
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "a60b8e4d17c3"
down_revision: str | None = "f27a9d1e4b60"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "one_time_tokens", sa.Column("version", sa.Integer(), server_default="1", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("one_time_tokens", "version")
