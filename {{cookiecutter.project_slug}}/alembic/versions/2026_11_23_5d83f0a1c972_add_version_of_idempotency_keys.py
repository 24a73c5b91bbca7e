"""Add version of idempotency keys, which is their ETag.

Revision: 5d83f0a1c972
Follows: d90c4f7be215
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5d83f0a1c972"
down_revision: str | None = "d90c4f7be215"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "idempotency_keys",
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        if_not_exists=True,  # until release 0.4.0, d90c4f7be215 added it
    )


def downgrade() -> None:
    op.drop_column("idempotency_keys", "version")
