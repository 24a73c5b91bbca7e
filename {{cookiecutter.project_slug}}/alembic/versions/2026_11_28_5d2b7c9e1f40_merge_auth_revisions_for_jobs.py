"""Merge the revisions of accounts with that of the job queue.

Revision: 5d2b7c9e1f40
Follows: 92c5e8d1b7a3, b3f8d21c6e4a
"""

from collections.abc import Sequence

revision: str = "5d2b7c9e1f40"
down_revision: str | Sequence[str] | None = ("92c5e8d1b7a3", "b3f8d21c6e4a")
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Change nothing."""


def downgrade() -> None:
    """Change nothing."""
