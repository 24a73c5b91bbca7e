"""Settings, read from the environment and from `.env`.

`.env.example` lists every variable; a test keeps the two alike.
"""

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    # {% if cookiecutter.use_auth %}
    AfterValidator,
    BeforeValidator,
    EmailStr,
    # {% endif %}
    Field,
    # {% if cookiecutter.use_auth %}
    IPvAnyNetwork,
    # {% endif %}
    PlainValidator,
    # {% if cookiecutter.use_auth %}
    SecretStr,
    # {% endif %}
    ValidationError,
    # {% if cookiecutter.use_auth %}
    ValidationInfo,
    field_validator,
    # {% endif %}
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# The database drivers of this project. A URL that names none of them gets the first.
DRIVERS: Final = [
    # {% if cookiecutter.db_driver == "asyncpg" %}
    "asyncpg",
    # {% endif %}
    # {% if cookiecutter.db_driver == "psycopg" %}
    "psycopg",
    # {% endif %}
]


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
Seconds = Annotated[float, Field(ge=0.001, le=3600)]  # to the millisecond
# {% if cookiecutter.use_auth %}
ValueT = TypeVar("ValueT")


def refuse_without_mail(value: ValueT, info: ValidationInfo) -> ValueT:
    """Raise `ValueError` for a feature that is on where no mail can be sent."""
    if value and info.data.get("mail_delivery") == "none":
        raise ValueError("needs mail; set MAIL_DELIVERY to smtp, with SMTP_HOST and MAIL_FROM")
    return value


# For the setting of a feature that sends mail. It has to stand below `mail_delivery`.
NeedsMail = AfterValidator(refuse_without_mail)


def split_list(value: object) -> object:
    """Split a text at its commas; an empty one has no items."""
    if isinstance(value, str):
        return [item.strip().lower() for item in value.split(",")] if value.strip() else []
    return value


_HOST: Final = r"([a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\]"
_Host = Annotated[str, Field(pattern=rf"^(\*\.)?({_HOST})$")]
_Origin = Annotated[str, Field(pattern=rf"^(\*|https?://({_HOST})(:[0-9]+)?)$")]

Hosts = Annotated[tuple[_Host, ...], NoDecode, BeforeValidator(split_list)]
Origins = Annotated[tuple[_Origin, ...], NoDecode, BeforeValidator(split_list)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(split_list)]
OptionalEmail = Annotated[EmailStr | None, BeforeValidator(lambda value: value or None)]
# {% endif %}


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
    database_pool_size: int = Field(
        default=5, ge=1, description="Connections that each process keeps open."
    )
    database_max_overflow: int = Field(
        default=10,
        ge=0,
        description="Connections that each process may open beyond the pool, under load.",
    )
    database_pool_timeout: Seconds = Field(
        default=2, description="Seconds to wait for a free connection before the request fails."
    )
    database_deadline: Seconds = Field(
        default=5, description="Seconds after which a request that waits for the database fails."
    )
    readiness_timeout: Seconds = Field(
        default=1, description="Seconds that the readiness check gives the database."
    )
    database_pool_pre_ping: bool = Field(
        default=True,
        description="Test a connection that was idle before its use, and replace a dead one.",
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


class Settings(DatabaseSettings):
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
    # {% if cookiecutter.use_auth %}
    secret_key: SecretStr = Field(
        description="Signs access tokens: 32 random characters or more, the same in every process."
    )
    access_token_minutes: int = Field(
        default=15, ge=1, le=60, description="Minutes for which an access token is good."
    )
    mail_delivery: Literal["none", "console", "smtp"] = Field(
        default="none", description="How mail is sent; the console shows it, for development."
    )
    mail_from: OptionalEmail = Field(
        default=None, validate_default=True, description="The address that mail comes from."
    )
    smtp_host: str = Field(
        default="", validate_default=True, description="The SMTP server that takes the mail."
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection to it is encrypted."
    )
    smtp_username: str = Field(default="", description="With which to sign in there, if at all.")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="What goes with it.")
    smtp_timeout: Seconds = Field(
        default=10, description="Seconds that the SMTP server has for each of its answers."
    )
    allowed_hosts: Hosts = Field(
        default=(), description="Host names of the service; requests that name another get 400."
    )
    cors_origins: Origins = Field(
        default=(), description="Origins of web pages that may call the service."
    )
    trusted_proxies: Networks = Field(
        default=(), description="Proxies that are believed whose requests they pass on."
    )
    # {% endif %}
    api_prefix: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path before every route but the health checks, such as /api/v1.",
    )
    # {%- if cookiecutter.use_auth +%}

    @field_validator("secret_key")
    @classmethod
    def refuse_weak_secret(cls, value: SecretStr) -> SecretStr:
        """Length alone lets `aaaa...` pass, so the number of distinct characters counts too."""
        secret = value.get_secret_value()
        if len(secret) < 32 or len(set(secret)) < 10:
            raise ValueError(
                "too easy to guess; make one with: "
                "python -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
        return value

    @field_validator("mail_from", "smtp_host")
    @classmethod
    def require_for_smtp(cls, value: ValueT, info: ValidationInfo) -> ValueT:
        if not value and info.data.get("mail_delivery") == "smtp":
            raise ValueError("missing, though MAIL_DELIVERY is smtp")
        return value

    @field_validator("smtp_username")
    @classmethod
    def refuse_to_sign_in_unencrypted(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("smtp_security") == "none":
            raise ValueError("would be sent unencrypted; set SMTP_SECURITY to starttls or tls")
        return value

    # {%- endif +%}


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
