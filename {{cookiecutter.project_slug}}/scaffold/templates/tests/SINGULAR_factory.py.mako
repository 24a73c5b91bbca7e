from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final
from uuid import uuid4

from ${r.module} import ${r.class_name}
% for target in r.made_models:
from ${target.module} import ${target.class_name}
% endfor
from tests.factories import Factory, unique_number
% for module, name in r.factories:
from ${module} import make_${name}
% endfor

<%
    made = r.required
    written = [one for one in r.values if not one.is_optional]
    is_serial = any(one.numbered_by == "serial" for one in written)
    parameters = [f"{one.name}: {one.target.class_name} | None = None" for one in made]
%>
% if is_serial:
# Short values would soon be repeated by the number that all rows share.
_serials: Final = count()


% endif
async def make_${r.singular}(make: Factory, ${"".join(f"{one}, " for one in parameters)}**values: Any) -> ${r.class_name}:
    """Write ${r.a}${f", and a new {r.either([one.human for one in made])} if none is given" if made else ""}."""
% for one in made:
    ${one.name} = ${one.name} or await ${"make.user()" if one.target_name == "user" else f"make_{one.target_name}(make)"}
% endfor
% if any(one.takes_number for one in written):
    number = unique_number()
% endif
% if is_serial:
    serial = next(_serials)
% endif
    defaults: dict[str, Any] = {
% for one in made:
        "${one.column}": ${one.name}.id,
% endfor
% for one in written:
        "${one.name}": ${one.made},
% endfor
    }
    return await make(${r.class_name}(**defaults | values))
