"""Environment variables of the settings of the gateway."""

from typing import Final

# Without these, the service does not start.
REQUIRED: Final[dict[str, str]] = {}

# What some options need.
NEEDED_BY_OPTIONS: Final[dict[str, str]] = {}

# Values that are refused.
WRONG: Final = [("CALLER_HEADER", "X User"), ("CALLER_HEADER", "X-User:")]

# Values that are refused, unless DEVELOPMENT is on.
UNSAFE: Final[dict[str, list[str]]] = {}
