"""Which rule says who may call a route, for `app routes`.

The gateway in front of the service decides who gets through, and the rules allow everything until
you write them.
"""

from collections.abc import Collection
from typing import Any, Final

from app.dependencies.caller_without_auth import get_admitted_caller, require_admin

_STATED: Final = {
    "OPEN": "anyone",
    "CALLER": "get_admitted_caller",
    "OWNER": "require_owner_or_admin",
    "ADMIN": "require_admin",
}


def who_may_call(calls: Collection[Any], stated: str) -> str:
    """Return the rule that the tests state (`Access`), or else that of the dependencies, or `anyone`.

    Dependencies do not say whether a service asks for the owner.
    """
    if stated:
        return _STATED[stated]
    for rule in (require_admin, get_admitted_caller):
        if rule in calls:
            return rule.__name__
    return "anyone"
