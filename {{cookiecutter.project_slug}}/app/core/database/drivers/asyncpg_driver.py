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

# Parameters of libpq: keyword arguments of `connect()`,
_ARGUMENTS: Final = {
    *("host", "port", "user", "password", "database", "passfile", "service", "servicefile"),
    *("krbsrvname", "gsslib", "target_session_attrs", "prepared_statement_cache_size"),
}
# in a DSN only,
_TLS: Final = {
    *("sslmode", "sslnegotiation", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
}
# under another name,
_RENAMED: Final = {"dbname": "database", "ssl": "sslmode"}
# merged with the settings,
_MERGED: Final = {"application_name", "fallback_application_name", "connect_timeout", "options"}
_TAKEN: Final = _ARGUMENTS | _TLS | _RENAMED.keys() | _MERGED
# and not at all.
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
    """Return whether it is any error of asyncpg except an argument that it does not accept.

    SQLAlchemy wraps most of them, and asyncpg's is the cause then.
    """
    errors = error, error.__cause__
    is_argument = any(isinstance(one, asyncpg.ClientConfigurationError) for one in errors)
    return not is_argument and any(isinstance(one, _CONNECTION_ERRORS) for one in errors)


def check_url(url: URL) -> None:
    """Raise `ValueError` for a parameter that asyncpg lacks.

    Some are accepted with the values that change nothing. So is channel binding, which providers
    put into their URLs: over TLS with a verified server it is a second safeguard.
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

    The parameters of TLS are in a DSN, because there are no arguments for them.
    """
    query = {name: str(value) for name, value in _parameters(url).items()}
    arguments: dict[str, Any] = {
        # By default asyncpg keeps a timer for each statement in its cache, which are few (pings), and
        # with it the context of the request that was the first to execute it: for five minutes.
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
    tls = {name: value for name, value in query.items() if name in _TLS}
    if tls and "ssl" not in arguments:
        arguments["dsn"] = f"postgresql://?{urlencode(tls)}"
    return arguments


def pooler_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Disable the statement caches of asyncpg and SQLAlchemy, unless PgBouncer supports them.

    Without a pooler that tracks them, a named statement may already exist on the next server
    connection, so every statement is unnamed. With one, names are unique: if the
    pooler does not track statements after all, they fail instead of running another process's.
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
    """Return whether encoding a value failed, for which asyncpg's error names the cause."""
    data_error = error.__cause__
    return isinstance(data_error, asyncpg.DataError) and isinstance(
        data_error.__cause__, OverflowError | UnicodeEncodeError
    )


def seems_alive(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return whether the connection is open. The event loop notices when the server closes it."""
    return not connection.is_closed()


def abort(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Close the connection. Waiting coroutines get a `ConnectionDoesNotExistError`."""
    connection.terminate()
