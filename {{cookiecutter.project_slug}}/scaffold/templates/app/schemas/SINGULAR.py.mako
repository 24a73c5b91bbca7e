from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid4

from pydantic import Field, FiniteFloat, StringConstraints

from app.core.types import (
    ExactDecimal,
    Id,
    Int32,
    IsoDate,
    JsonObject,
    SafeInt,
    Text,
    Trimmed,
    UtcDatetime,
    Visible,
)
from app.schemas.base import Nullable, PatchBody, RequestBody, ResponseBody
from app.schemas.ownership import OwnerId
from app.schemas.page import PageQuery

% if r.body_lengths:
# Fits the longest texts in any script: a character has up to four bytes in UTF-8.
MAX_${r.singular.upper()}_BYTES: Final = 4 * ${r.body_lengths} + 1000

% endif
% for one in r.values:
% if one.kind.is_named:
${one.alias} = ${one.code(one.kind.body)}
% endif
% endfor
# `-` means descending.
${r.class_name}Sort = Literal[
    "-created_at", "created_at", ${"".join(f'"{one.name}", "-{one.name}", ' for one in r.sorted_by)}
]


class ${r.class_name}Create(RequestBody):
    """POST body."""

% for one in r.values + r.references:
<%
    kind = "OwnerId" if one is r.owner else f"{one.body} | None" if one.is_optional else one.body
    default = f" = {one.body_default}" if one.body_default else ""
%>\
    ${one.column}: ${kind}${default}
% endfor
% for link in r.links:
    ${link.column}: ${link.body} = Field(default=[], max_length=100, fail_fast=True)
% endfor


class ${r.class_name}Patch(PatchBody):
    """PATCH body.${f" The {r.owner.human} cannot be changed." if r.owner else ""}"""

% for one in r.changeable:
    ${one.column}: ${f"Annotated[{one.body} | None, Nullable]" if one.is_optional else f"{one.body} | None"} = None
% endfor
% for link in r.links:
    ${link.column}: ${link.body} | None = Field(default=None, max_length=100, fail_fast=True)
% endfor


class ${r.class_name}Response(ResponseBody):
    id: Id
% for one in r.columns:
    ${one.column}: ${one.response}${" | None" if one.is_optional else ""}
% endfor
% for link in r.links:
    ${link.column}: ${link.response}
% endfor
    created_at: datetime
    updated_at: datetime


class ${r.class_name}Query(PageQuery):
    """Query parameters of the list of ${r.humans}."""

% for one in r.filters:
% if one.is_range:
    ${one.name}_from: ${one.body} | None = Field(
        default=None, description="Only ${r.humans} with this `${one.name}`, or ${one.kind.range[0]} one."
    )
    ${one.name}_before: ${one.body} | None = Field(
        default=None, description="Only ${r.humans} with ${one.kind.range[1]} `${one.name}`."
    )
% elif one.target:
    ${one.parameters[0]}: Id | None = Field(default=None, description="Only ${r.humans} of this ${one.singular_human}.")
% else:
    ${one.name}: ${one.filter_type} | None = Field(default=None, description="Only ${r.humans} with this `${one.name}`.")
% endif
% endfor
    sort: ${r.class_name}Sort = Field(default="-created_at", description="Sort order; `-` means descending.")
