"""Add index on is_active of users, without blocking writes.

Revision: 7b90d4e2c158
Follows: 5d83f0a1c972
"""

from collections.abc import Sequence

from alembic import op

revision: str = "7b90d4e2c158"
down_revision: str | None = "5d83f0a1c972"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_users_is_active_id"


def upgrade() -> None:
    # CONCURRENTLY cannot run in a transaction.
    with op.get_context().autocommit_block():
        # It waits for all transactions that have written to the table, and blocks none of them. So
        # the default lock timeout, which protects others from waiting, is not needed.
        op.execute("SET lock_timeout = 0")
        # A failed attempt leaves an INVALID index, which writes maintain, queries ignore, and IF
        # NOT EXISTS accepts. So drop it first.
        op.drop_index(INDEX, "users", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX, "users", ["is_active", "id"], if_not_exists=True, postgresql_concurrently=True
        )
        op.execute("RESET lock_timeout")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(INDEX, "users", if_exists=True, postgresql_concurrently=True)
        op.execute("RESET lock_timeout")
