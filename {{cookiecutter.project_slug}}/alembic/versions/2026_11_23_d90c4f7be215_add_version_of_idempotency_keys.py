"""Add version of idempotency keys, which is their ETag.

Revision: d90c4f7be215
Follows: 5d83f0a1c972
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "d90c4f7be215"
down_revision: str | None = "5d83f0a1c972"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "idempotency_keys", sa.Column("version", sa.Integer(), server_default="1", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("idempotency_keys", "version")
