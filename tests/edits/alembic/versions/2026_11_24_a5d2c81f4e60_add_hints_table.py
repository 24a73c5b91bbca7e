"""Add hints table.

Revision: a5d2c81f4e60
Follows: HEAD_OF_THE_PROJECT
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "a5d2c81f4e60"
down_revision: str | None = "HEAD_OF_THE_PROJECT"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "hints",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("text", sa.String(200), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hints")),
    )


def downgrade() -> None:
    op.drop_table("hints")
