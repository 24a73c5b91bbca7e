"""Merge the indexes for searching with the revisions of auth.

Revision: 6d1b9f4e0c27
Follows: 1e6f3a9d5c72, 91e4a7c03d5b
"""

from collections.abc import Sequence

revision: str = "6d1b9f4e0c27"
down_revision: str | Sequence[str] | None = ("1e6f3a9d5c72", "91e4a7c03d5b")
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
