"""What the database drivers do differently: one module each, chosen by the URL's driver name."""

import importlib
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import URL

from app.core.config import DatabaseSettings


@dataclass(frozen=True)
class ConstraintViolation:
    """The constraint that PostgreSQL refused a row for.

    `detail` is the server's own text, such as `Key (email)=(ann@example.com) already exists.`
    """

    constraint: str
    detail: str


class Driver(Protocol):
    """The interface of each module in this package."""

    def connect_args(self, settings: DatabaseSettings) -> dict[str, Any]:
        """Return the keyword arguments of the driver's `connect()`."""
        ...

    def constraint_violation(self, error: BaseException | None) -> ConstraintViolation | None:
        """Return what the server said of a refused constraint, or None for any other error."""
        ...

    def sqlstate(self, error: BaseException | None) -> str:
        """Return the five characters that name the server's error, or nothing."""
        ...

    def abort(self, connection: Any) -> None:
        """Shut the socket of a driver's connection, without a word to the server."""
        ...


def driver_for(url: URL) -> Driver:
    """Import and return the module for the URL's driver."""
    module = importlib.import_module(f"{__name__}.{url.get_driver_name()}_driver")
    return cast("Driver", module)


def server_parameters(settings: DatabaseSettings) -> dict[str, str]:
    """Return the parameters that each new session sets on the server, in milliseconds."""
    return {
        "statement_timeout": f"{settings.database_statement_timeout * 1000:.0f}",
        "lock_timeout": f"{settings.database_lock_timeout * 1000:.0f}",
        "idle_in_transaction_session_timeout": (
            f"{settings.database_idle_in_transaction_timeout * 1000:.0f}"
        ),
    }
