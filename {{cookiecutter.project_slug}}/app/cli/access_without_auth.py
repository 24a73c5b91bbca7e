"""Who may call a route, for `app routes`."""

from collections.abc import Collection
from typing import Any


def who_may_call(_calls: Collection[Any], _stated: str) -> str | None:
    """Return None: the gateway in front of the service decides."""
    return None
