"""Add index on is_active of users, without keeping anybody from writing them.

Revision: 7b90d4e2c158
Follows: d90c4f7be215
"""

from collections.abc import Sequence

from alembic import op

revision: str = "7b90d4e2c158"
down_revision: str | None = "d90c4f7be215"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_users_is_active_id"


def upgrade() -> None:
    # CONCURRENTLY is not allowed in a transaction.
    with op.get_context().autocommit_block():
        # It waits for every transaction that has written to the table, and nobody waits for it.
        # The limit in alembic/env.py is for statements that keep others waiting.
        op.execute("SET lock_timeout = 0")
        # A failed attempt leaves its index behind: INVALID, so that no query uses it, but kept up
        # to date by every write, and good enough for IF NOT EXISTS. So it has to go first.
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
