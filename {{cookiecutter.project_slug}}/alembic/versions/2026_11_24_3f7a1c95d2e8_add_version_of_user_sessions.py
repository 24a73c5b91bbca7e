"""Add version of user sessions, which is their ETag.

Revision: 3f7a1c95d2e8
Follows: b81f46c0d35e
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "3f7a1c95d2e8"
down_revision: str | None = "b81f46c0d35e"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "user_sessions", sa.Column("version", sa.Integer(), server_default="1", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("user_sessions", "version")
