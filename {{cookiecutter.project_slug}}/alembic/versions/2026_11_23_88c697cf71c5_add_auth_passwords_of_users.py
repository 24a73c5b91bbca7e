"""Add auth passwords of users.

Revision: 88c697cf71c5
Follows: 5d83f0a1c972
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "88c697cf71c5"
down_revision: str | None = "5d83f0a1c972"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("users", sa.Column("hashed_password", sa.String(255), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "hashed_password")
