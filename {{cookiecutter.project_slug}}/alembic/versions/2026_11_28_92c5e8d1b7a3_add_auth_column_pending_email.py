"""Add auth column pending_email to users, and the purpose of tokens that confirm it.

Revision: 92c5e8d1b7a3
Follows: c7d2f94b1e60
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "92c5e8d1b7a3"
down_revision: str | None = "c7d2f94b1e60"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME = "ck_one_time_tokens_purpose"
# Their check takes no time: the table holds the tokens of a few days.
IGNORED = "-- squawk-ignore ban-drop-constraint, constraint-missing-not-valid\n"


def replace_check(purposes: str) -> None:
    op.execute(
        f"{IGNORED}ALTER TABLE one_time_tokens DROP CONSTRAINT {NAME}, "
        f"ADD CONSTRAINT {NAME} CHECK (purpose IN ({purposes}))"
    )


def upgrade() -> None:
    op.add_column("users", sa.Column("pending_email", sa.String(255), nullable=True))
    replace_check("'verify_email', 'change_email', 'password_reset', 'invitation'")


def downgrade() -> None:
    op.execute("DELETE FROM one_time_tokens WHERE purpose = 'change_email'")
    replace_check("'verify_email', 'password_reset', 'invitation'")
    op.drop_column("users", "pending_email")
