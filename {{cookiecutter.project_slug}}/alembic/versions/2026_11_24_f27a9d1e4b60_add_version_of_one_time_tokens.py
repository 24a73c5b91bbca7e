"""Add version of one-time tokens, which is their ETag.

Revision: f27a9d1e4b60
Follows: a60b8e4d17c3
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "f27a9d1e4b60"
down_revision: str | None = "a60b8e4d17c3"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "one_time_tokens",
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        if_not_exists=True,  # until release 0.4.0, a60b8e4d17c3 added it
    )


def downgrade() -> None:
    op.drop_column("one_time_tokens", "version")
