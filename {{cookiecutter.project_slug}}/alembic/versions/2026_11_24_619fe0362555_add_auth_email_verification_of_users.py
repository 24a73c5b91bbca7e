"""Add auth e-mail verification of users.

Revision: 619fe0362555
Follows: b81f46c0d35e
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "619fe0362555"
down_revision: str | None = "b81f46c0d35e"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "users",
        sa.Column("is_email_verified", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("users", "is_email_verified")
