"""Settings, read from the environment and from `.env`.

`.env.example` lists every variable; a test keeps the two alike.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, PlainValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.core.caller_settings import CallerSettings
from app.core.types import Hosts, Networks, Origins, Seconds

# The database drivers of this project: those with a module. A URL that names none of them gets
# the first.
DRIVERS: Final = sorted(
    path.stem.removesuffix("_driver")
    for path in Path(__file__).with_name("database").glob("drivers/*_driver.py")
)


class ConfigurationError(Exception):
    """The environment does not describe a way to run. The message names each wrong variable."""


def parse_database_url(value: object) -> URL:
    """Accept `postgres://`, `postgresql://` or a URL with a driver; choose the project's driver.

    Raises `ValueError` for anything else. The message keeps the value to itself: it may hold the
    database's credentials.
    """
    try:
        url = make_url(value) if isinstance(value, str | URL) else None
    except (ArgumentError, ValueError):
        url = None
    dialect, _, driver = url.drivername.partition("+") if url else ("", "", "")
    if url is None or dialect not in {"postgres", "postgresql"}:
        raise ValueError("not a PostgreSQL URL; write postgresql://user@host:5432/database")
    return url.set(drivername=f"postgresql+{driver if driver in DRIVERS else DRIVERS[0]}")


def parse_optional_database_url(value: object) -> URL | None:
    """Return None for an empty variable, else what `parse_database_url` does."""
    return parse_database_url(value) if value else None


DatabaseURL = Annotated[URL, NoDecode, PlainValidator(parse_database_url)]
OptionalDatabaseURL = Annotated[URL | None, NoDecode, PlainValidator(parse_optional_database_url)]


class DatabaseSettings(BaseSettings):
    """How to reach the database and what to keep in it: all that maintenance needs."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: DatabaseURL = Field(
        description="The PostgreSQL server, as postgresql://user:secret@host:5432/database."
    )
    database_replica_url: OptionalDatabaseURL = Field(
        default=None, description="A streaming replica, which serves GET and HEAD while it is up."
    )
    database_pooler: bool = Field(
        default=False, description="Reach the database by PgBouncer in transaction mode."
    )
    database_pooler_prepares: bool = Field(
        default=False, description="The pooler keeps prepared statements (PgBouncer from 1.21 on)."
    )
    database_direct_url: OptionalDatabaseURL = Field(
        default=None, description="PostgreSQL itself, past the pooler: for migrations."
    )
    database_pool_size: int = Field(
        default=10, ge=1, description="Connections of each process for requests that write."
    )
    database_read_pool_size: int = Field(
        default=10, ge=1, description="Connections of each process for requests that read."
    )
    database_pool_timeout: Seconds = Field(
        default=2, description="Seconds to wait for a free connection before the request fails."
    )
    database_deadline: Seconds = Field(
        default=5, description="Seconds that a request may wait for the database, in sum."
    )
    readiness_timeout: Seconds = Field(
        default=1, description="Seconds that the readiness check gives the database."
    )
    database_pool_pre_ping: bool = Field(
        default=True,
        description="Test a connection that was idle before its use, and replace a dead one.",
    )
    database_second_connection: Literal["log", "raise"] = Field(
        default="log",
        description="What a request does that holds a connection and asks for another one.",
    )
    database_connect_timeout: Seconds = Field(
        default=2, description="Seconds to wait for a new connection."
    )
    database_statement_timeout: Seconds = Field(
        default=4, description="Seconds after which PostgreSQL ends a statement."
    )
    database_lock_timeout: Seconds = Field(
        default=2, description="Seconds that a statement waits for a lock."
    )
    database_idle_in_transaction_timeout: Seconds = Field(
        default=30, description="Seconds after which PostgreSQL ends an idle open transaction."
    )
    idempotency_key_hours: int = Field(
        default=24, ge=1, description="Hours for which the answer to an Idempotency-Key is kept."
    )


class Settings(CallerSettings, DatabaseSettings):
    """Everything that the service is told from outside."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least severe messages of the app that are logged."
    )
    max_body_bytes: int = Field(
        default=2 * 2**20, ge=1024, description="Bytes that the body of a request may have."
    )
    body_timeout: Seconds = Field(
        default=10, description="Seconds that a client has to send the body of a request."
    )
    max_json_depth: int = Field(
        default=32,
        ge=1,
        le=200,
        description="Arrays and objects that JSON may nest in one another.",
    )
    max_query_bytes: int = Field(
        default=8192, ge=256, description="Bytes that the query string of a request may have."
    )
    drain_seconds: float = Field(
        default=0,
        ge=0,
        le=300,
        description="Seconds between SIGTERM, from which on /health/ready fails, and the stop.",
    )
    require_if_match: bool = Field(
        default=False, description="Refuse a PATCH or DELETE without If-Match (428)."
    )
    allowed_hosts: Hosts = Field(
        default=(), description="Host names of the service; requests that name another get 400."
    )
    cors_origins: Origins = Field(
        default=(), description="Origins of web pages that may call the service."
    )
    trusted_proxies: Networks = Field(
        default=(), description="Proxies whose word on the client of a request is taken."
    )
    collect_garbage_rarely: bool = Field(
        default=True, description="Run Python's cycle collector less often than by default."
    )
    api_prefix: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path before every route but the health checks, such as /api/v1.",
    )


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_settings(kind: type[SettingsT], **given: Any) -> SettingsT:
    """Read the settings that are not given.

    Raises `ConfigurationError` with a line for each variable that is wrong.
    """
    try:
        return kind(**given)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc'])).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False)
        ]
    raise ConfigurationError("\n".join(["Wrong settings (see .env.example):", *problems]))
