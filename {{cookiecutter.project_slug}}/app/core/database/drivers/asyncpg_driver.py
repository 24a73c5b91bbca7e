"""The asyncpg driver."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
from sqlalchemy import URL

from app.core.config import DatabaseSettings
from app.core.database.drivers import ConstraintViolation

# Parameters of libpq that `connect()` takes as keyword arguments.
_ARGUMENTS: Final = {
    *("host", "port", "user", "password", "database", "passfile"),
    *("krbsrvname", "gsslib", "target_session_attrs", "prepared_statement_cache_size"),
}
# Those that it takes in a DSN only.
_IN_DSN: Final = {
    *("service", "servicefile"),
    *("sslmode", "sslnegotiation", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
}
# Those that asyncpg knows under another name.
_RENAMED: Final = {"dbname": "database", "ssl": "sslmode"}
# Those that are merged with the settings.
_MERGED: Final = {"application_name", "fallback_application_name", "connect_timeout", "options"}
_TAKEN: Final = _ARGUMENTS | _IN_DSN | _RENAMED.keys() | _MERGED
# Those that asyncpg lacks: accepted only with values that change nothing.
_WITHOUT_EFFECT: Final = {
    "channel_binding": {"disable", "prefer", "require"},
    "client_encoding": {"auto", "utf8", "UTF8", "utf-8", "UTF-8"},
    "gssencmode": {"disable", "prefer"},
    "keepalives": {"0"},
    "load_balance_hosts": {"disable"},
    "replication": {"false", "off", "no", "0"},
    "sslcertmode": {"allow"},
    "sslcompression": {"0"},
    "sslsni": {"1"},
}

_CONNECTION_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
    OSError,
)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the platform's own event loop."""
    return asyncio.new_event_loop()


def is_connection_error(error: Exception) -> bool:
    """Return whether asyncpg has failed, other than for an invalid argument.

    SQLAlchemy wraps most of these errors; asyncpg's is then the cause.
    """
    errors = error, error.__cause__
    is_argument = any(isinstance(one, asyncpg.ClientConfigurationError) for one in errors)
    return not is_argument and any(isinstance(one, _CONNECTION_ERRORS) for one in errors)


def check_url(url: URL) -> None:
    """Raise `ValueError` for a parameter that asyncpg lacks.

    `channel_binding=require` is accepted, although asyncpg ignores it, because providers put it
    into their URLs: over TLS with a verified server it is a second safeguard.
    """
    for name, value in url.query.items():
        if value not in _WITHOUT_EFFECT.get(name, ()) and name not in _TAKEN:
            raise ValueError(f"asyncpg does not support the parameter `{name}={value}`")
    if "sslrootcert" in url.query and url.query["sslrootcert"] == "system":
        sslmode = url.query.get("sslmode", "verify-full")
        if sslmode != "verify-full":
            raise ValueError("`sslrootcert=system` needs `sslmode=verify-full`")


def adapt_url(url: URL) -> URL:
    """Return the URL with asyncpg's own parameters only."""
    parameters = _parameters(url).items()
    return url.set(query={name: value for name, value in parameters if name in _ARGUMENTS})


def _parameters(url: URL) -> dict[str, str | tuple[str, ...]]:
    """Return the parameters of a URL by the names that asyncpg knows."""
    return {_RENAMED.get(name, name): value for name, value in url.query.items()}


def connect_args(
    url: URL, settings: DatabaseSettings, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Return the keyword arguments of `asyncpg.connect()`.

    Parameters without an argument of their own, such as those of TLS, are in a DSN.
    """
    query = {name: str(value) for name, value in _parameters(url).items()}
    arguments: dict[str, Any] = {
        # By default asyncpg starts a timer of five minutes for each statement in its cache, which
        # keeps the context of the first request alive.
        "max_cached_statement_lifetime": 0,
        "timeout": min(settings.database_connect_timeout, settings.database_deadline),
        "server_settings": dict(parameters),
    }
    if "connect_timeout" in query:
        seconds = int(query["connect_timeout"])
        arguments["timeout"] = seconds if seconds > 0 else None
    if name := query.get("application_name") or query.get("fallback_application_name"):
        arguments["server_settings"] = {"application_name": name} | arguments["server_settings"]
    if query.get("sslrootcert") == "system":
        arguments["ssl"] = ssl.create_default_context()
    in_dsn = {name: value for name, value in query.items() if name in _IN_DSN}
    if "ssl" in arguments:
        in_dsn = {name: value for name, value in in_dsn.items() if not name.startswith("ssl")}
    if in_dsn:
        arguments["dsn"] = f"postgresql://?{urlencode(in_dsn)}"
    return arguments


def pooler_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Disable the statement caches of asyncpg and SQLAlchemy, unless PgBouncer supports them.

    Without a pooler that tracks them, a named statement may already exist on the next server
    connection, so every statement is unnamed. With one, names are unique: if the pooler does not
    track statements after all, they fail instead of running a statement of another process.
    """
    if settings.database_pooler_prepares:
        return {"statement_cache_size": 0, "prepared_statement_name_func": lambda: f"__{uuid4()}__"}
    return unprepared_args()


def unprepared_args() -> dict[str, Any]:
    """Disable the statement caches of asyncpg and SQLAlchemy. Statements have no names."""
    return {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,
    }


def constraint_violation(error: BaseException | None) -> ConstraintViolation | None:
    """Return the violated constraint. SQLAlchemy wraps asyncpg's error, which is the cause."""
    cause = error.__cause__ if error else None
    if isinstance(cause, asyncpg.IntegrityConstraintViolationError) and cause.constraint_name:
        return ConstraintViolation(cause.constraint_name, cause.detail or "")
    return None


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE, which SQLAlchemy copies from asyncpg's error."""
    return getattr(error, "sqlstate", None) or ""


def refuses_value(error: BaseException) -> bool:
    """Return whether encoding a value failed: the cause of asyncpg's error tells."""
    data_error = error.__cause__
    return isinstance(data_error, asyncpg.DataError) and isinstance(
        data_error.__cause__, OverflowError | UnicodeEncodeError
    )


def seems_alive(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return whether the connection is open. The event loop notices when the server closes it."""
    return not connection.is_closed()


def backend_pid(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Return the process id that the server sent when the connection was opened."""
    return connection.get_server_pid()


def abort(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Close the connection. Waiting coroutines get a `ConnectionDoesNotExistError`."""
    connection.terminate()
