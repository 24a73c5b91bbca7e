from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
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
    parameters = [f"{one.name}: {one.target.class_name} | None = None" for one in made]
%>
async def make_${r.singular}(make: Factory, ${"".join(f"{one}, " for one in parameters)}**values: Any) -> ${r.class_name}:
    """Write ${r.a}${f", of a new {' and a new '.join(one.human for one in made)} if none is given" if made else ""}."""
% for one in made:
    ${one.name} = ${one.name} or await ${"make.user()" if one.target_name == "user" else f"make_{one.target_name}(make)"}
% endfor
% if any("number" in one.made for one in r.values if not one.is_optional):
    number = unique_number()
% endif
    defaults: dict[str, Any] = {
% for one in made:
        "${one.column}": ${one.name}.id,
% endfor
% for one in r.values:
% if not one.is_optional:
        "${one.name}": ${one.made},
% endif
% endfor
    }
    return await make(${r.class_name}(**defaults | values))
