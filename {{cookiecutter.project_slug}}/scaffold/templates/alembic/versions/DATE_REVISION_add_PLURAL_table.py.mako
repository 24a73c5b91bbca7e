"""Add ${r.plural} table.

Revision: ${revision}
Follows: ${follows}
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "${revision}"
down_revision: str | None = "${follows}"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "${r.plural}",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
% for one in r.columns:
        sa.Column("${one.column}", ${one.code(one.kind.migration)}, ${f"server_default={one.migration_default}, " if one.migration_default else ""}nullable=${one.is_optional}),
% endfor
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_${r.plural}")),
% for one in r.references:
        sa.ForeignKeyConstraint(
            ["${one.column}"],
            ["${one.table}.id"],
            name=op.f("fk_${r.plural}_${one.column}_${one.table}"),
            ondelete="${one.ondelete}",
        ),
% endfor
% for one in r.columns:
% if one.is_unique:
        sa.UniqueConstraint("${one.column}", name=op.f("uq_${r.plural}_${one.column}")),
% endif
% if one.kind_name == "enum":
        sa.CheckConstraint("${one.name} IN (${one.sql_values})", name=op.f("ck_${r.plural}_${one.name}")),
% endif
% endfor
    )
    op.create_index("ix_${r.plural}_created_at_id", "${r.plural}", ["created_at", "id"])
% for one in r.sorted_by:
    op.create_index("ix_${r.plural}_${one.name}_id", "${r.plural}", ["${one.name}", "id"])
% endfor
% for one in r.filtered_in_order:
    op.create_index("ix_${r.plural}_${one.column}_created_at_id", "${r.plural}", ["${one.column}", "created_at", "id"])
% endfor
% for link in r.links:
<% table = r.link_table(link) %>\
    op.create_table(
        "${table}",
        sa.Column("${r.singular}_id", sa.BigInteger(), nullable=False),
        sa.Column("${link.singular}_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("${r.singular}_id", "${link.singular}_id", name=op.f("pk_${table}")),
        sa.ForeignKeyConstraint(
            ["${r.singular}_id"],
            ["${r.plural}.id"],
            name=op.f("fk_${table}_${r.singular}_id_${r.plural}"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["${link.singular}_id"],
            ["${link.table}.id"],
            name=op.f("fk_${table}_${link.singular}_id_${link.table}"),
            ondelete="CASCADE",
        ),
    )
    op.create_index(op.f("ix_${table}_${link.singular}_id"), "${table}", ["${link.singular}_id"])
% endfor


def downgrade() -> None:
% for link in r.links:
    op.drop_table("${r.link_table(link)}")
% endfor
    op.drop_table("${r.plural}")
