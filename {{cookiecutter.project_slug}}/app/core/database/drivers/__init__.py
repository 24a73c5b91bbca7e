"""Differences between database drivers: one module each, chosen by the URL's driver name.

May import the settings, and like all of the database package nothing of HTTP; import-linter enforces
it.
"""

import asyncio
import importlib
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, cast

from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError

from app.core.config import DatabaseSettings

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ConstraintViolation:
    """The name of a violated constraint.

    `detail` is the server's message, such as `Key (email)=(ann@example.com) already exists.`
    """

    constraint: str
    detail: str


class Driver(Protocol):
    """The interface of a driver module."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop that the driver can use on every platform."""
        ...

    def is_connection_error(self, error: Exception) -> bool:
        """Return whether the server cannot be reached, refuses the connection or has closed it.

        `error` is that of the driver or of its DBAPI, as it was before SQLAlchemy wrapped it.
        """
        ...

    def check_url(self, url: URL) -> None:
        """Raise `ValueError` for a parameter of libpq that the driver lacks, or an unknown one."""
        ...

    def adapt_url(self, url: URL) -> URL:
        """Return the URL without the parameters that `connect_args` passes on."""
        ...

    def connect_args(
        self, url: URL, settings: DatabaseSettings, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the keyword arguments of the driver's `connect()`, beside those in the URL.

        `parameters` are server parameters to set for the connection, including those in the URL's
        `options`. For other settings the URL takes precedence.
        """
        ...

    def pooler_args(self, settings: DatabaseSettings) -> dict[str, Any]:
        """Return the additional arguments for PgBouncer in transaction mode.

        Each transaction may use a different server connection, so state such as prepared
        statements does not survive it.
        """
        ...

    def unprepared_args(self) -> dict[str, Any]:
        """Return the additional arguments that keep statements from being prepared for later."""
        ...

    def constraint_violation(self, error: BaseException | None) -> ConstraintViolation | None:
        """Return the violated constraint, or None for any other error."""
        ...

    def sqlstate(self, error: BaseException | None) -> str:
        """Return the SQLSTATE of a server error, or an empty string for any other error."""
        ...

    def refuses_value(self, error: BaseException) -> bool:
        """Return whether the driver itself refuses a value, such as NUL or too large a number.

        A value of the wrong type is a programming error instead.
        """
        ...

    def seems_alive(self, connection: Any) -> bool:
        """Return whether an idle connection looks open, without a round trip to the server."""
        ...

    def backend_pid(self, connection: Any) -> int:
        """Return the process id that the server has sent for the connection; a pooler sends another."""
        ...

    def abort(self, connection: Any) -> None:
        """Close the socket of a connection immediately, without notifying the server."""
        ...


def driver_for(url: URL) -> Driver:
    """Return the module of the URL's driver."""
    module = importlib.import_module(f"{__name__}.{url.get_driver_name()}_driver")
    return cast("Driver", module)


def run(url: URL, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine as `asyncio.run` does, in an event loop that the URL's driver can use."""
    with asyncio.Runner(loop_factory=driver_for(url).new_event_loop) as runner:
        return runner.run(work)


_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_VERSIONS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
# The values of libpq's parameters (section 32.1.2 of its documentation): some words, or a number.
_WORDS: Final = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "keepalives": ("0", "1"),
    "load_balance_hosts": ("disable", "random"),
    "ssl": _SSL_MODES,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "sslcertmode": ("disable", "allow", "require"),
    "sslcompression": ("0", "1"),
    "sslmode": _SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "sslsni": ("0", "1"),
    "target_session_attrs": (
        *("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    ),
}
_NUMBERS: Final = {
    *("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "prepared_statement_cache_size"),
}


def check_url(url: URL) -> None:
    """Raise `ValueError` for a parameter that has no effect or cannot be understood."""
    for name, value in url.query.items():
        if not isinstance(value, str):
            if name not in {"host", "port"}:
                raise ValueError(f"the parameter `{name}` is given more than once")
        elif name in _WORDS and value not in _WORDS[name]:
            raise ValueError(
                f"the parameter `{name}` is {value!r}, not {' or '.join(_WORDS[name])}"
            )
        elif name in _NUMBERS and not re.fullmatch(r"-?[0-9]+", value):
            raise ValueError(f"the parameter `{name}` is {value!r}, not a whole number")
    server_options(url)
    driver = driver_for(url)
    driver.check_url(url)
    try:  # checks the hosts and their ports
        _, arguments = url.get_dialect()().create_connect_args(driver.adapt_url(url))
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"the host or a parameter is not valid: {error}") from None
    ports = arguments.get("port") or []
    for port in ports if isinstance(ports, list) else str(ports).split(","):
        if not 0 < int(port) < 2**16:
            raise ValueError(f"the port {port} is not between 1 and 65535")


def server_options(url: URL) -> dict[str, str]:
    """Return the server parameters in a URL's `options`, such as `-c search_path=tenant`.

    Words end at a space, unless a backslash escapes it, as in PostgreSQL. Raises `ValueError` for
    any other option of the server.
    """
    options = str(url.query.get("options", ""))
    words = iter(
        re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL)
        for word in re.findall(r"(?:\\.|[^\s\\])+", options, re.DOTALL)
    )
    parameters = {}
    for word in words:
        assignment = next(words, "") if word == "-c" else word[2:]
        name, _, value = assignment.partition("=")
        if not word.startswith(("-c", "--")) or not name or not value:
            raise ValueError(f"the parameter `options` has `{word}`; write -c name=value")
        parameters[name.replace("-", "_").lower()] = value
    return parameters
