"""Add methods to user sessions table: how the user has signed in.

Revision: c7d2f94b1e60
Follows: 6d1b9f4e0c27
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c7d2f94b1e60"
down_revision: str | None = "6d1b9f4e0c27"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "user_sessions",
        sa.Column("methods", sa.ARRAY(sa.String(20)), server_default="{pwd}", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("user_sessions", "methods")
