"""Who may call a route, for `app routes`."""

from collections.abc import Collection
from typing import Any, Final

from app.dependencies.caller import get_current_user, require_admin

_STATED: Final = {
    "OPEN": "anyone",
    "CALLER": "signed in",
    "OWNER": "owner or admin",
    "ADMIN": "admin",
}


def who_may_call(calls: Collection[Any], stated: str) -> str:
    """Return the access that the tests state (`Access`), or else what the dependencies require.

    Dependencies do not say whether a service admits owners only.
    """
    if stated:
        return _STATED[stated]
    if require_admin in calls:
        return "admin"
    return "signed in" if get_current_user in calls else "anyone"
