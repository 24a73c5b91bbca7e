"""Merge the revisions of auth with the common ones.

Revision: 1e6f3a9d5c72
Follows: 7b90d4e2c158, a60b8e4d17c3
"""

from collections.abc import Sequence

revision: str = "1e6f3a9d5c72"
down_revision: str | Sequence[str] | None = ("7b90d4e2c158", "a60b8e4d17c3")
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
