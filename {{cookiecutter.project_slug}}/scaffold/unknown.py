"""What to say of a type or a resource that is unknown."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from scaffold.kinds import KINDS, MANY
from scaffold.project import Project
from scaffold.resource import USER

# What other generators and PostgreSQL call the types.
_OTHER_NAMES: Final = {
    "string": "str",
    "varchar": "str",
    "integer": "int",
    "numeric": "decimal",
    "double": "float",
    "boolean": "bool",
    "timestamp": "datetime",
    "jsonb": "json",
}


def unknown_type(project: Project, kind: str, arguments: Sequence[str]) -> str:
    """Return what can be written instead of a type that is unknown."""
    known = sorted(name for name in project.models if name == USER or project.factory_of(name))
    if kind == MANY:
        usage = f"write {MANY}:RESOURCE, where the resource is one of {', '.join(known)}"
        is_one = len(arguments) == 1
        return (
            f"there is no resource {arguments[0]} yet; write that first, or {usage}"
            if is_one
            else usage
        )
    near = get_close_matches(kind.lower(), [*_OTHER_NAMES, *KINDS, *known], 1)
    hint = f". Do you mean {_OTHER_NAMES.get(near[0], near[0])}?" if near else ""
    return (
        f"{kind} is neither a type ({', '.join(KINDS)}) nor a resource ({', '.join(known)}), nor "
        f"{MANY}:RESOURCE{hint}"
    )
