"""Add rate limits table.

Revision: 5f2c8a0d914e
Follows: e61d3b80f7a4
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5f2c8a0d914e"
down_revision: str | None = "e61d3b80f7a4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limits")),
    )
    op.create_index("ix_rate_limits_free_at", "rate_limits", ["free_at"])


def downgrade() -> None:
    op.drop_table("rate_limits")
