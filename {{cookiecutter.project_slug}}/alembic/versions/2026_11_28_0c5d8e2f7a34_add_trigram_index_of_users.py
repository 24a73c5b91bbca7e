"""Add an index for searching users, without blocking writes.

Revision: 0c5d8e2f7a34
Follows: 7b90d4e2c158
"""

from collections.abc import Sequence

from alembic import op
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

revision: str = "0c5d8e2f7a34"
down_revision: str | None = "7b90d4e2c158"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEX = "ix_users_email_display_name_trigrams"
COLUMNS = ["email", "display_name"]
NO_EXTENSION = (
    "The extension pg_trgm is missing, and PostgreSQL does not create it: {reason}. Have the owner "
    "of the database run CREATE EXTENSION pg_trgm in it, and migrate again. (It comes with "
    "PostgreSQL; some distributions have it in a package postgresql-contrib.)"
)


def upgrade() -> None:
    create_extension()
    # CONCURRENTLY cannot run in a transaction.
    with op.get_context().autocommit_block():
        # It waits for all transactions that have written to the table, and blocks none of them. So
        # the default lock timeout, which protects others from waiting, is not needed.
        op.execute("SET lock_timeout = 0")
        # A failed attempt leaves an INVALID index, which writes maintain, queries ignore, and IF
        # NOT EXISTS accepts. So drop it first.
        op.drop_index(INDEX, "users", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX,
            "users",
            COLUMNS,
            if_not_exists=True,
            postgresql_concurrently=True,
            postgresql_using="gin",
            postgresql_ops=dict.fromkeys(COLUMNS, "gin_trgm_ops"),
        )
        op.execute("RESET lock_timeout")


def create_extension() -> None:
    """Create pg_trgm unless it exists. The owner of the database may do so, nobody else need."""
    try:
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DBAPIError as error:
        reason = str(error.orig).splitlines()[0]
        raise CommandError(NO_EXTENSION.format(reason=reason)) from error


def downgrade() -> None:
    """Drop the index. The extension stays, because others may use it by now."""
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.drop_index(INDEX, "users", if_exists=True, postgresql_concurrently=True)
        op.execute("RESET lock_timeout")
