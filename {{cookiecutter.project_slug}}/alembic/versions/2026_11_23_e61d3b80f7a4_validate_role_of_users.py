"""Validate role of users.

Revision: e61d3b80f7a4
Follows: c27a9e5f613b
"""

from collections.abc import Sequence

from alembic import op

revision: str = "e61d3b80f7a4"
down_revision: str | None = "c27a9e5f613b"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # Reads the whole table, but does not block reads and writes.
    op.execute("ALTER TABLE users VALIDATE CONSTRAINT ck_users_role")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_users_role"), "users", type_="check")
    op.create_check_constraint(
        op.f("ck_users_role"), "users", "role IN ('user', 'admin')", postgresql_not_valid=True
    )
