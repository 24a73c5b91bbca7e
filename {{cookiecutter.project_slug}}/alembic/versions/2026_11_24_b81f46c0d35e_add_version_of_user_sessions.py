"""Add version of user sessions, which is their ETag.

Revision: b81f46c0d35e
Follows: 3f7a1c95d2e8
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b81f46c0d35e"
down_revision: str | None = "3f7a1c95d2e8"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "user_sessions",
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        if_not_exists=True,  # until release 0.4.0, 3f7a1c95d2e8 added it
    )


def downgrade() -> None:
    op.drop_column("user_sessions", "version")
