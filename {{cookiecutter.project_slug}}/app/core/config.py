"""Settings, read from the environment, the file `.env` of the project, and files of secrets.

`.env.example` lists every variable; a test compares the two.
"""

import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator, StringConstraints, ValidationInfo, field_validator
from pydantic_settings import NoDecode
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.core.caller_settings import CallerSettings
from app.core.development import DevelopmentSettings, refuse_outside_development
from app.core.env_file import ConfigurationError as ConfigurationError
from app.core.environment import load_settings as load_settings
from app.core.telemetry_settings import TelemetrySettings
from app.core.types import (
    HeaderNames,
    Hosts,
    Methods,
    Networks,
    Origins,
    Seconds,
    require_possible_port,
)

# The drivers that have a module. The first one is the default for a URL that names none.
DRIVERS: Final = sorted(
    path.stem.removesuffix("_driver")
    for path in Path(__file__).with_name("database").glob("drivers/*_driver.py")
)


_SEVERAL_HOSTS: Final = re.compile(
    r"(?P<start>[^:/?]+://([^/?]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>.*)"
)


_HOST_AND_PORT: Final = re.compile(r"(\[(?P<ipv6>[^\]]*)\]|(?P<name>[^:]*))(:(?P<port>.*))?")


def _with_hosts_as_parameter(value: str | URL) -> str | URL:
    """Write `//user@a:1,b:2/app` as `//user@/app?host=a,b&port=1,2`, as SQLAlchemy expects it."""
    match = isinstance(value, str) and _SEVERAL_HOSTS.match(value)
    if not match:
        return value
    found = [_HOST_AND_PORT.fullmatch(host) for host in match["hosts"].split(",")]
    hosts = ",".join(host["name"] or host["ipv6"] for host in found if host)
    ports = ",".join(host["port"] or "5432" for host in found if host)
    path, _, query = match["rest"].partition("?")
    return f"{match['start']}{path}?host={hosts}&port={ports}{'&' if query else ''}{query}"


def parse_database_url(value: object) -> URL:
    """Parse `postgres://`, `postgresql://` or a URL with a driver, and set the project's driver.

    Raises `ValueError` for anything else, and for parameters that the driver does not support. The
    message omits the URL, which may hold credentials.
    """
    try:
        url = make_url(_with_hosts_as_parameter(value)) if isinstance(value, str | URL) else None
    except (ArgumentError, ValueError):
        url = None
    dialect, _, driver = url.drivername.partition("+") if url else ("", "", "")
    if url is None or dialect not in {"postgres", "postgresql"}:
        raise ValueError("not a PostgreSQL URL; write postgresql://user@host:5432/database")
    url = url.set(drivername=f"postgresql+{driver if driver in DRIVERS else DRIVERS[0]}")
    # Imported here, because the drivers import this module.
    from app.core.database.drivers import check_url

    if url.query.get("ssl") == "true":  # as libpq accepts it
        url = url.difference_update_query(["ssl"]).update_query_dict({"sslmode": "require"})
    check_url(url)
    return url


def parse_optional_database_url(value: object) -> URL | None:
    """Parse a database URL as `parse_database_url` does, or return None for an empty value."""
    return parse_database_url(value) if value else None


DatabaseURL = Annotated[URL, NoDecode, PlainValidator(parse_database_url)]
OptionalDatabaseURL = Annotated[URL | None, NoDecode, PlainValidator(parse_optional_database_url)]


class DatabaseSettings(DevelopmentSettings):
    """Settings of the database, all that maintenance commands need."""

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
    database_search_pool_size: int = Field(
        default=3,
        ge=1,
        description="Size of each process's connection pool for requests that search (?q=).",
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
        description="Reaction to a request, job or WebSocket that wants a second connection.",
    )
    database_connect_timeout: Seconds = Field(
        default=2, description="Timeout for opening a connection, in seconds."
    )
    database_statement_timeout: Seconds = Field(
        default=4,
        description="Maximum duration of a statement, in seconds; PostgreSQL then cancels it.",
    )
    database_slow_statement: float = Field(
        default=0.5,
        ge=0,
        le=3600,
        description="Duration of statements that are logged as slow, in seconds; 0 logs none.",
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


# Addresses of IPv4 within IPv6 (RFC 4291, section 2.5.5.2).
_IPV4_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def _is_large(network: IPv4Network | IPv6Network) -> bool:
    """Return whether a network is larger than those for private use, 10.0.0.0/8 and fc00::/7."""
    if network.version == 6 and network.subnet_of(_IPV4_MAPPED):
        return network.prefixlen - _IPV4_MAPPED.prefixlen < 8
    return network.prefixlen < (8 if network.version == 4 else 7)


class Settings(TelemetrySettings, CallerSettings, DatabaseSettings):
    """All settings of the service."""

    docs: bool | None = Field(
        default=None, description="Serve /docs and /openapi.json. By default in development only."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="Minimum level of the app's log messages."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="Format of the log; auto is console on a terminal, else json."
    )
    trust_request_id: bool = Field(
        default=True, description="Take the X-Request-ID of a request if it is well-formed."
    )
    max_body_bytes: int = Field(
        default=64 * 2**10,
        ge=1024,
        description="Maximum size of a request body, in bytes, unless the route states another.",
    )
    max_import_bytes: int = Field(
        default=2 * 2**20, ge=1024, description="Maximum size of an import's body, in bytes."
    )
    body_timeout: Seconds = Field(
        default=10, description="Maximum time for receiving a request body, in seconds."
    )
    max_json_depth: int = Field(
        default=32, ge=1, le=200, description="Maximum nesting depth of JSON in a request body."
    )
    max_query_bytes: int = Field(
        default=8192,
        ge=6144,
        description="Maximum size of a query string, and of a path, in bytes.",
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
        default=(), description="Host names of the service, such as api.example.com,*.example.com."
    )
    cors_origins: Origins = Field(
        default=(),
        description="Origins whose pages may call the service, such as https://app.example.com.",
    )
    cors_methods: Methods = Field(
        default=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        description="Methods that these pages may use.",
    )
    cors_headers: HeaderNames = Field(
        default=(
            "Authorization",
            "Cache-Control",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "X-Request-ID",
            "X-Requested-With",
            # of OpenTelemetry and Sentry, which add them to each request
            "traceparent",
            "tracestate",
            "baggage",
            "sentry-trace",
        ),
        description="Headers that these pages may send.",
    )
    cors_exposed_headers: HeaderNames = Field(
        default=(
            "Content-Disposition",
            "ETag",
            "Idempotency-Replayed",
            "Link",
            "Location",
            "Retry-After",
            "WWW-Authenticate",
            "X-Request-ID",
        ),
        description="Headers of responses that these pages may read.",
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses or networks of trusted proxies, such as 10.0.0.0/8,192.0.2.1.",
    )
    hsts_include_subdomains: bool = Field(
        default=False, description="Require HTTPS of the host's subdomains too."
    )
    metrics: Annotated[
        str, StringConstraints(pattern=r"^(?i)(off|on|[1-9][0-9]{0,4})?$", to_lower=True)
    ] = Field(
        default="",
        description="Metrics for Prometheus: off, on (at /metrics), or a port such as 9464.",
    )
    collect_garbage_rarely: bool = Field(
        default=True, description="Run Python's cycle collector less often than by default."
    )
    worker_database_url: OptionalDatabaseURL = Field(
        default=None, description="PostgreSQL itself, bypassing the pooler, for workers."
    )
    worker_jobs: int = Field(
        default=10, ge=2, le=1000, description="Jobs that a worker runs at the same time."
    )
    worker_lost_seconds: Seconds = Field(
        default=30, description="Seconds after which the jobs of a lost worker are taken over."
    )
    worker_stop_seconds: float = Field(
        default=20,
        gt=0,
        le=300,
        description="Seconds that running jobs have when a worker stops; then they are queued again.",
    )
    worker_in_service: bool = Field(
        default=False, description="Run jobs in the service itself, without `app worker`."
    )
    api_prefix: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path prefix of all routes but health checks and documentation, such as /api/v1.",
    )

    @field_validator("api_prefix")
    @classmethod
    def refuse_prefix_that_cannot_work(cls, value: str) -> str:
        _, *segments = value.split("/")
        if {".", ".."} & {*segments}:
            raise ValueError(
                "clients remove the segments . and .. from URLs, so no request would match"
            )
        if segments[:1] == ["health"]:
            raise ValueError(
                "paths under /health are for health checks, which any Host may request; choose another"
            )
        return value

    @property
    def has_metrics(self) -> bool:
        """Whether metrics are on: by default in development only."""
        return self.metrics != "off" if self.metrics else self.development

    @property
    def metrics_port(self) -> int | None:
        """The port on which metrics are served, or None if that is the port of the service."""
        return int(self.metrics) if self.metrics.isdecimal() else None

    @field_validator("metrics")
    @classmethod
    def refuse_impossible_port(cls, value: str) -> str:
        if value.isdecimal():
            require_possible_port(value)
        if value and value == os.environ.get("UVICORN_PORT"):
            raise ValueError("the port of the service itself (UVICORN_PORT); name another, or on")
        return value

    @property
    def serves_docs(self) -> bool:
        """Whether the documentation is served: as DOCS says, else in development only."""
        return self.development if self.docs is None else self.docs

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The trusted proxies. Those of IPv4 also in the form `::ffff:192.0.2.1` of dual-stack sockets."""
        mapped = (
            IPv6Network(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
            for network in self.trusted_proxies
            if network.version == 4
        )
        return (*self.trusted_proxies, *mapped)

    @field_validator("trusted_proxies")
    @classmethod
    def refuse_to_trust_anybody(cls, value: Networks, info: ValidationInfo) -> Networks:
        """Refuse networks larger than those for private use."""
        if any(_is_large(network) for network in value):
            reason = "trusts so many addresses that clients could forge theirs; name your proxies"
            refuse_outside_development(reason, info)
        return value
