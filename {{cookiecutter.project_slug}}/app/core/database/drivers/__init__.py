"""Differences between database drivers: one module each, chosen by the URL's driver name."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import URL

from app.core.config import DatabaseSettings


@dataclass(frozen=True)
class ConstraintViolation:
    """The name of a violated constraint.

    `detail` is the server's message, such as `Key (email)=(ann@example.com) already exists.`
    """

    constraint: str
    detail: str


class Driver(Protocol):
    """The interface of a driver module."""

    def adapt_url(self, url: URL) -> URL:
        """Translate libpq's URL parameters, such as `sslmode`, into the driver's own."""
        ...

    def connect_args(
        self, url: URL, settings: DatabaseSettings, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the keyword arguments of the driver's `connect()`, beside those in the URL.

        `parameters` are server parameters to set for the connection.
        """
        ...

    def pooler_args(self, settings: DatabaseSettings) -> dict[str, Any]:
        """Return the additional arguments for PgBouncer in transaction mode.

        Each transaction may use a different server connection, so state such as prepared
        statements does not survive it.
        """
        ...

    def constraint_violation(self, error: BaseException | None) -> ConstraintViolation | None:
        """Return the violated constraint, or None for any other error."""
        ...

    def sqlstate(self, error: BaseException | None) -> str:
        """Return the SQLSTATE of a server error, or an empty string for any other error."""
        ...

    def seems_alive(self, connection: Any) -> bool:
        """Return whether an idle connection looks open, without a round trip to the server."""
        ...

    def abort(self, connection: Any) -> None:
        """Close the socket of a connection immediately, without notifying the server."""
        ...


def driver_for(url: URL) -> Driver:
    """Return the module of the URL's driver."""
    module = importlib.import_module(f"{__name__}.{url.get_driver_name()}_driver")
    return cast("Driver", module)
