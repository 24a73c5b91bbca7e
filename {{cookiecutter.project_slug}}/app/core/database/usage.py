"""What a request, job or block of code has used of the database, for logs and metrics."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class DatabaseUsage:
    """Counts since it was made current. `waited` is the time spent waiting for connections, in seconds."""

    statements: int = 0
    waited: float = 0


CURRENT_USAGE: Final[ContextVar[DatabaseUsage | None]] = ContextVar("database_usage", default=None)
