"""Add version of users, which is their ETag.

Revision: 4b1f0c6a92d7
Follows: 25950420a132
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "4b1f0c6a92d7"
down_revision: str | None = "25950420a132"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("users", sa.Column("version", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    op.drop_column("users", "version")
