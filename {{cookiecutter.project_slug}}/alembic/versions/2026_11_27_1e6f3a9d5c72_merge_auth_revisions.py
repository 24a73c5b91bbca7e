"""Merge the revisions of auth with the common ones.

Revision: 1e6f3a9d5c72
Follows: 7b90d4e2c158, f27a9d1e4b60
"""

from collections.abc import Sequence

revision: str = "1e6f3a9d5c72"
down_revision: str | Sequence[str] | None = ("7b90d4e2c158", "f27a9d1e4b60")
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
