% if r.references or r.links:
from __future__ import annotations

% endif
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.database.constraints import refusal
from app.core.database.metadata import metadata
from app.exceptions import ConflictError, NotFoundError, ValidationError
from app.models.base import Base, etag_of

% if r.targets:
if TYPE_CHECKING:
% for target in r.targets:
    from ${target.module} import ${target.class_name}
% endfor

% endif
% for link in r.links:
<%
    # A link to a user is data of that user. Other links are data of the owner of the row that has them.
    of_first = ' | {"personal": False}' if r.is_to_user(link) else ""
    of_second = "" if r.is_to_user(link) else ' | {"personal": False}'
%>\

# Its rows belong to ${r.humans}; the repository writes them.
${r.link_table(link)} = Table(
    "${r.link_table(link)}",
    metadata,
    Column(
        "${r.singular}_id",
        ForeignKey(
            "${r.plural}.id", ondelete="CASCADE", info=refusal(NotFoundError, "${r.human.capitalize()} {value} not found")${of_first}
        ),
        primary_key=True,
    ),
    Column(
        "${link.singular}_id",
        ForeignKey(
            "${link.table}.id", ondelete="CASCADE", info=refusal(NotFoundError, "${link.singular_human.capitalize()} {value} not found")${of_second}
        ),
        primary_key=True,
        index=True,
    ),
)
% endfor


class ${r.class_name}(Base):
    """${r.a.capitalize()}."""

    __tablename__ = "${r.plural}"

% for one in r.references:
<%
    hint = f"{one.python} | None" if one.is_optional else one.python
    others = "" if r.is_personal(one) else ' | {"personal": False}'
    used = f', still_used="{one.target_name.replace("_", " ").capitalize()} {{value}} still has {r.humans}"' if one.ondelete == "RESTRICT" else ""
%>\
    ${one.column}: Mapped[${hint}] = mapped_column(
        ForeignKey(
            "${one.table}.id", ondelete="${one.ondelete}", info=refusal(NotFoundError, "${one.human.capitalize()} {value} not found"${used})${others}
        )
    )
% endfor
% for one in r.values:
<%
    hint = f"{one.python} | None" if one.is_optional else one.python
    default = f"server_default={one.sql_default}" if one.sql_default else ""
    arguments = ", ".join(filter(None, (one.sql_type, default)))
%>\
    ${one.name}: Mapped[${hint}]${f" = mapped_column({arguments})" if arguments else ""}
% endfor

% for one in r.references:
<%
    of = r.class_name if one.is_self else one.target.class_name
    keys = f", foreign_keys={one.column}" if r.is_ambiguous(one) else ""
    side = f', remote_side="{r.class_name}.id", viewonly=True' if one.is_self else ""
%>\
    ${one.name}: Mapped[${f"{of} | None" if one.is_optional else of}] = relationship(lazy="selectin"${keys}${side})
% endfor
% for link in r.links:
<%
    of = link.target.class_name
    ends = (("primary", r.singular), ("secondary", link.singular)) if link.is_self else ()
    joins = "".join(f", {end}join=lambda: {of}.id == {r.link_table(link)}.c.{name}_id" for end, name in ends)
%>\
    ${link.name}: Mapped[list[${of}]] = relationship(
        secondary=${r.link_table(link)}${joins}, lazy="selectin", viewonly=True, order_by="${of}.id"
    )
% endfor

    # One index per sort order of lists, ending in the id, so that a page is one range of it.
    __table_args__ = (
        Index("ix_${r.plural}_created_at_id", "created_at", "id"),
% for one in r.sorted_by:
        Index("ix_${r.plural}_${one.name}_id", "${one.name}", "id"),
% endfor
% for one in r.filtered_in_order:
        Index("ix_${r.plural}_${one.column}_created_at_id", "${one.column}", "created_at", "id"),
% endfor
% for one in r.columns:
% if one.is_unique:
        UniqueConstraint("${one.column}", info=refusal(ConflictError, "${one.human.capitalize()} {value} is taken")),
% endif
% if one.kind_name == "enum":
        CheckConstraint(
            "${one.name} IN (${one.sql_values})",
            name="${one.name}",
            info=refusal(ValidationError, "The ${one.human} must be ${one.human_values}"),
        ),
% endif
% endfor
    )
% for link in r.links:

    @property
    def ${link.column}(self) -> list[int]:
        return [${link.singular}.id for ${link.singular} in self.${link.name}]
% endfor
% if r.unversioned:

    @property
    def etag(self) -> int:
        return etag_of(self.version, ${", ".join(f"self.{one.column}" for one in r.unversioned)})
% endif
