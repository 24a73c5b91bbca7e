"""Add auth roles of users.

Revision: c27a9e5f613b
Follows: 88c697cf71c5
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c27a9e5f613b"
down_revision: str | None = "88c697cf71c5"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("users", sa.Column("role", sa.String(20), server_default="user", nullable=False))
    # NOT VALID skips existing rows, whose check would lock the table. The next revision validates
    # them.
    op.create_check_constraint(
        op.f("ck_users_role"), "users", "role IN ('user', 'admin')", postgresql_not_valid=True
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_users_role"), "users", type_="check")
    op.drop_column("users", "role")
