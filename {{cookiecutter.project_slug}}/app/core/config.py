"""Settings, read from the environment and from `.env`.

`.env.example` lists every variable; a test compares the two.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, PlainValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.core.caller_settings import CallerSettings
from app.core.types import Hosts, Networks, Origins, Seconds

# The drivers that have a module. The first one is the default of a URL that names no other.
DRIVERS: Final = sorted(
    path.stem.removesuffix("_driver")
    for path in Path(__file__).with_name("database").glob("drivers/*_driver.py")
)


class ConfigurationError(Exception):
    """The settings are invalid. The message names each invalid variable."""


def parse_database_url(value: object) -> URL:
    """Parse `postgres://`, `postgresql://` or a URL with a driver, and set the project's driver.

    Raises `ValueError` for anything else. The message omits the value, which may hold credentials.
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
    """Parse a database URL as `parse_database_url` does, or return None for an empty value."""
    return parse_database_url(value) if value else None


DatabaseURL = Annotated[URL, NoDecode, PlainValidator(parse_database_url)]
OptionalDatabaseURL = Annotated[URL | None, NoDecode, PlainValidator(parse_optional_database_url)]


class DatabaseSettings(BaseSettings):
    """Settings of the database, all that maintenance commands need."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: DatabaseURL = Field(
        description="The PostgreSQL server, as postgresql://user:secret@host:5432/database."
    )
    database_replica_url: OptionalDatabaseURL = Field(
        default=None,
        description="A streaming replica that serves GET and HEAD requests while it is up.",
    )
    database_pooler: bool = Field(
        default=False, description="DATABASE_URL is a PgBouncer in transaction mode."
    )
    database_pooler_prepares: bool = Field(
        default=False,
        description="The pooler supports prepared statements (PgBouncer 1.21 or later).",
    )
    database_direct_url: OptionalDatabaseURL = Field(
        default=None, description="PostgreSQL itself, bypassing the pooler, for migrations."
    )
    database_pool_size: int = Field(
        default=10,
        ge=1,
        description="Size of each process's connection pool for requests that write.",
    )
    database_read_pool_size: int = Field(
        default=10,
        ge=1,
        description="Size of each process's connection pool for requests that only read.",
    )
    database_pool_timeout: Seconds = Field(
        default=2, description="Maximum wait for a free connection of the pool, in seconds."
    )
    database_deadline: Seconds = Field(
        default=5, description="Total time that a request may spend in the database, in seconds."
    )
    readiness_timeout: Seconds = Field(
        default=1, description="Timeout of the readiness check, in seconds."
    )
    database_pool_pre_ping: bool = Field(
        default=True, description="Test idle connections before use, and replace dead ones."
    )
    database_second_connection: Literal["log", "raise"] = Field(
        default="log",
        description="Reaction to a request that wants a second connection while it holds one.",
    )
    database_connect_timeout: Seconds = Field(
        default=2, description="Timeout for opening a connection, in seconds."
    )
    database_statement_timeout: Seconds = Field(
        default=4,
        description="Maximum duration of a statement, in seconds; PostgreSQL then cancels it.",
    )
    database_lock_timeout: Seconds = Field(
        default=2, description="Maximum wait of a statement for a lock, in seconds."
    )
    database_idle_in_transaction_timeout: Seconds = Field(
        default=30,
        description="Maximum idle time within a transaction, in seconds; PostgreSQL then ends it.",
    )
    idempotency_key_hours: int = Field(
        default=24, ge=1, description="Hours for which the response to an Idempotency-Key is kept."
    )


class Settings(CallerSettings, DatabaseSettings):
    """All settings of the service."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Minimum level of the app's log messages."
    )
    max_body_bytes: int = Field(
        default=2 * 2**20, ge=1024, description="Maximum size of a request body, in bytes."
    )
    body_timeout: Seconds = Field(
        default=10, description="Maximum time for receiving a request body, in seconds."
    )
    max_json_depth: int = Field(
        default=32, ge=1, le=200, description="Maximum nesting depth of JSON in a request body."
    )
    max_query_bytes: int = Field(
        default=8192, ge=256, description="Maximum size of a query string, in bytes."
    )
    drain_seconds: float = Field(
        default=0,
        ge=0,
        le=300,
        description="Seconds from SIGTERM, when /health/ready starts to fail, to the shutdown.",
    )
    require_if_match: bool = Field(
        default=False, description="Refuse PATCH and DELETE requests without If-Match (428)."
    )
    allowed_hosts: Hosts = Field(
        default=(),
        description="Host names of the service; requests with any other Host header get 400.",
    )
    cors_origins: Origins = Field(
        default=(), description="Origins whose web pages may call the service."
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Proxies whose X-Forwarded-For and X-Forwarded-Proto headers are trusted.",
    )
    collect_garbage_rarely: bool = Field(
        default=True, description="Run Python's cycle collector less often than by default."
    )
    worker_jobs: int = Field(
        default=10, ge=1, le=1000, description="Jobs that a worker takes at once."
    )
    worker_lost_seconds: Seconds = Field(
        default=30,
        description="Seconds after which others take over the jobs of a worker that is gone.",
    )
    worker_in_service: bool = Field(
        default=False, description="Run jobs in the service itself, without `app worker`."
    )
    api_prefix: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path prefix of every route except the health checks, such as /api/v1.",
    )


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load_settings(kind: type[SettingsT], **given: Any) -> SettingsT:
    """Create settings from the given values, the environment and `.env`, in this priority.

    Raises `ConfigurationError` with a line for each invalid variable.
    """
    try:
        return kind(**given)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc'])).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False)
        ]
    raise ConfigurationError("\n".join(["Invalid settings (see .env.example):", *problems]))
