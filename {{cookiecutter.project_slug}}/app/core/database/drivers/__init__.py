"""What the database drivers do differently: one module each, chosen by the URL's driver name."""

import importlib
from collections.abc import Mapping
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

    def adapt_url(self, url: URL) -> URL:
        """Say what libpq's parameters of a URL say (`sslmode`, for one) in the driver's words."""
        ...

    def connect_args(
        self, url: URL, settings: DatabaseSettings, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the keyword arguments of the driver's `connect()`, beside those of the URL.

        `parameters` of the server are set when a connection starts.
        """
        ...

    def pooler_args(self, settings: DatabaseSettings) -> dict[str, Any]:
        """Return those that PgBouncer's transaction mode needs.

        There each transaction may meet another server connection, so that nothing that outlives
        one may be relied on, prepared statements above all.
        """
        ...

    def constraint_violation(self, error: BaseException | None) -> ConstraintViolation | None:
        """Return what the server said of a refused constraint, or None for any other error."""
        ...

    def sqlstate(self, error: BaseException | None) -> str:
        """Return the five characters that name the server's error, or nothing."""
        ...

    def seems_alive(self, connection: Any) -> bool:
        """Say whether an idle connection shows no sign of its end. Asks no server."""
        ...

    def abort(self, connection: Any) -> None:
        """Shut the socket of a driver's connection, without a word to the server."""
        ...


def driver_for(url: URL) -> Driver:
    """Import and return the module for the URL's driver."""
    module = importlib.import_module(f"{__name__}.{url.get_driver_name()}_driver")
    return cast("Driver", module)
