"""Add auth token generation of users, by which all of their access tokens are revoked.

Revision: 9f6c24089caf
Follows: 5f2c8a0d914e
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "9f6c24089caf"
down_revision: str | None = "5f2c8a0d914e"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("token_generation", sa.Integer(), server_default="1", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("users", "token_generation")
