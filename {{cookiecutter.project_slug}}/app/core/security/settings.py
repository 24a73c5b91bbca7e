"""Settings of accounts and of mail."""

from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, EmailStr, Field, SecretStr, ValidationInfo, field_validator

from app.core.development import DevelopmentSettings, refuse_outside_development
from app.core.email_settings import EmailSettings
from app.core.env_file import PROJECT
from app.core.types import Seconds

ValueT = TypeVar("ValueT")

_MAKE_A_SECRET = (
    "make one with: "  # `uv run`, because the name of Python differs between systems
    'uv run python -c "import secrets; print(secrets.token_urlsafe(48))"'
)


def refuse_without_mail(value: ValueT, info: ValidationInfo) -> ValueT:
    """Raise `ValueError` if a feature that sends mail is on without mail delivery."""
    if value and info.data.get("mail_delivery") == "none":
        raise ValueError("needs mail; set MAIL_DELIVERY to smtp, with SMTP_HOST and MAIL_FROM")
    return value


# Annotates the setting of a feature that sends mail. Declare it after `mail_delivery`.
NeedsMail = AfterValidator(refuse_without_mail)


_THIS_MACHINE: Final = {"localhost", "127.0.0.1", "::1"}


def _is_this_machine(host: str | None) -> bool:
    """Return whether a host is this machine, so that nothing to it crosses a network."""
    return host in _THIS_MACHINE


def is_web_url(value: str) -> bool:
    """Return whether a setting is a URL rather than a path. Schemes ignore case (RFC 3986)."""
    return urlsplit(value).scheme in {"http", "https"}


def _is_unencrypted(url: str) -> bool:
    """Return whether what is sent to a URL crosses a network unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_this_machine(parts.hostname)


# Words in keys that were published as examples, in lower case.
_EXAMPLE_WORDS: Final = ("change", "example", "insecure", "only-for", "replace", "your-", "your_")
# Examples without such a word: from FastAPI's documentation, PyJWT's, and jwt.io.
_EXAMPLES: Final = {
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "a-string-secret-at-least-256-bits-long",
    "this-is-a-secret-key-that-is-long-enough",
}

# The second recommended option of RFC 9106, section 4: three passes over 64 MiB. The first one
# takes one pass over 2 GiB.
_ARGON2_MEMORY_KIB: Final = 65536
_ARGON2_TIME_COST: Final = 3


class PasswordSettings(DevelopmentSettings, EmailSettings):
    """Settings of the password policy and of hashing."""

    password_min_length: int = Field(
        default=8, ge=8, le=64, description="Minimum length of a password, in characters."
    )
    password_max_length: int = Field(
        default=128, ge=64, le=512, description="Maximum length of a password, in characters."
    )
    password_refuse_common: bool = Field(default=True, description="Refuse common passwords.")
    password_breaches: str = Field(
        default="",
        description="Breached passwords to refuse: a folder of range files, or a service's URL.",
    )
    password_common_file: Path | None = Field(
        default=None,
        description="A list of common passwords in place of the service's own: one a line, UTF-8.",
    )
    argon2_time_cost: int = Field(
        default=_ARGON2_TIME_COST,
        ge=1,
        description="Time cost of argon2id, in passes over the memory.",
    )
    argon2_memory_kib: int = Field(
        default=_ARGON2_MEMORY_KIB,
        ge=8,
        validate_default=True,
        description="Memory cost of argon2id, in KiB.",
    )
    argon2_parallelism: int = Field(
        default=4, ge=1, validate_default=True, description="Parallelism of argon2id, in lanes."
    )
    password_threads: int = Field(
        default=4,
        ge=1,
        description="Passwords that a process hashes at the same time; never more than its cores.",
    )
    password_queue_per_core: int = Field(
        default=32,
        ge=1,
        description="Passwords that may wait for each that is being hashed; further ones get 503.",
    )

    @field_validator("password_common_file")
    @classmethod
    def require_readable(cls, value: Path | None) -> Path | None:
        """Read the file when the service starts, not at the first registration."""
        path = PROJECT / value if value else None
        try:
            if path:
                path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeError):
            raise ValueError(f"cannot read {path} as UTF-8 text") from None
        return path

    @field_validator("password_breaches")
    @classmethod
    def require_ranges(cls, value: str, info: ValidationInfo) -> str:
        if _is_unencrypted(value):
            refuse_outside_development(
                "would send digits of password hashes unencrypted; write https://", info
            )
        elif value and not is_web_url(value) and not Path(value).is_dir():
            raise ValueError("is neither a folder of range files nor the https:// URL of a service")
        return value

    @field_validator("argon2_memory_kib")
    @classmethod
    def refuse_cheap_hashes(cls, value: int, info: ValidationInfo) -> int:
        """Accept the options of RFC 9106 and all that lies between them."""
        work = value * info.data.get("argon2_time_cost", _ARGON2_TIME_COST)
        if value < _ARGON2_MEMORY_KIB or work < _ARGON2_MEMORY_KIB * _ARGON2_TIME_COST:
            refuse_outside_development(
                "makes hashes cheaper to guess than RFC 9106 recommends: use "
                f"{_ARGON2_MEMORY_KIB} with ARGON2_TIME_COST={_ARGON2_TIME_COST}, or more memory "
                "with fewer passes",
                info,
            )
        return value

    @field_validator("argon2_parallelism")
    @classmethod
    def require_memory_of_lanes(cls, value: int, info: ValidationInfo) -> int:
        """Each lane takes 8 KiB (RFC 9106, section 3.1)."""
        if value * 8 > info.data.get("argon2_memory_kib", value * 8):
            raise ValueError(f"needs an ARGON2_MEMORY_KIB of {value * 8} or more")
        return value


class SessionSettings(DevelopmentSettings):
    """Settings of how long users stay signed in."""

    session_days: int = Field(default=30, ge=1, description="Days after which a session expires.")
    session_idle_days: int = Field(
        default=7, ge=1, description="Days without use after which a session expires."
    )


class AuthSettings(PasswordSettings, SessionSettings):
    """All settings of accounts and of mail."""

    secret_key: SecretStr = Field(
        description=f"Key that signs access tokens: 32 or more random characters; {_MAKE_A_SECRET}"
    )
    secret_key_previous: SecretStr | None = Field(
        default=None, description="The previous SECRET_KEY, whose tokens are still accepted."
    )
    token_issuer: str = Field(
        default="{{ cookiecutter.project_slug }}",
        min_length=1,
        description="Issuer of access tokens (`iss`); tokens of others are refused.",
    )
    token_audience: str = Field(
        default="{{ cookiecutter.project_slug }}",
        min_length=1,
        description="Audience of access tokens (`aud`); tokens for others are refused.",
    )
    access_token_minutes: int = Field(
        default=15, ge=1, le=60, description="Lifetime of an access token, in minutes."
    )
    mail_delivery: Literal["none", "console", "smtp"] = Field(
        default="none", description="How mail is sent; `console` prints it, for development."
    )
    mail_from: EmailStr | None = Field(
        default=None, validate_default=True, description="Sender address of mail."
    )
    smtp_host: str = Field(
        default="", validate_default=True, description="Host of the SMTP server."
    )
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the SMTP server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="Encryption of the connection to the SMTP server."
    )
    smtp_username: str = Field(default="", description="User name for the SMTP server, if any.")
    smtp_password: SecretStr = Field(
        default=SecretStr(""), description="Password for the SMTP server."
    )
    smtp_timeout: Seconds = Field(
        default=10, description="Timeout for each response of the SMTP server, in seconds."
    )
    frontend_url: str = Field(
        default="",
        validate_default=True,
        pattern=r"^(https?://[^\s#?]*[^\s#?/])?$",
        description="Base URL of the links in mails, such as https://app.example.com.",
    )
    sessions_per_user: int = Field(
        default=20, ge=1, description="Sessions per user; a new one ends the least recently used."
    )
    fresh_sign_in_minutes: int = Field(
        default=5,
        ge=1,
        le=24 * 60,
        description="Minutes after signing in for which sensitive actions take no new sign-in.",
    )
    refresh_grace_seconds: int = Field(
        default=10,
        ge=0,
        le=60,
        description="Seconds for which a client may repeat a refresh whose response it has lost.",
    )
    registration: Literal["open", "closed", "invitation"] = Field(
        default="open",
        description="Who may register: everybody, nobody, or people with an invitation.",
    )
    require_verified_email: Annotated[bool, NeedsMail] = Field(
        default=False,
        description="Refuse sign-ins of users who have not verified their e-mail address.",
    )
    password_tries_per_account: int = Field(
        default=10,
        ge=1,
        description="Passwords that an IP address may try for an account in 15 minutes.",
    )
    password_tries_per_address: int = Field(
        default=100, ge=1, description="Passwords that an IP address may try in 15 minutes."
    )
    mails_per_account: int = Field(
        default=5,
        ge=1,
        description="Mails to an e-mail address that an IP address may request in an hour.",
    )
    mails_per_address: int = Field(
        default=30, ge=1, description="Mails that an IP address may request in an hour."
    )

    @field_validator("secret_key", "secret_key_previous")
    @classmethod
    def refuse_weak_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Check the number of distinct characters too: length alone would accept `aaaa...`."""
        secret = value.get_secret_value() if value else None
        if secret is None:
            return None
        if len(secret) < 32 or len(set(secret)) < 10:
            raise ValueError(f"too easy to guess; {_MAKE_A_SECRET}")
        if secret in _EXAMPLES or any(word in secret.lower() for word in _EXAMPLE_WORDS):
            refuse_outside_development("is an example that others know; generate one", info)
        return value

    @field_validator("secret_key_previous")
    @classmethod
    def refuse_the_same_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value and value == info.data.get("secret_key"):
            raise ValueError("is SECRET_KEY itself; generate a new SECRET_KEY")
        return value

    @field_validator("mail_delivery")
    @classmethod
    def refuse_to_print_mails(cls, value: str, info: ValidationInfo) -> str:
        if value == "console":
            refuse_outside_development("writes links that reset passwords into the log", info)
        return value

    @field_validator("smtp_security")
    @classmethod
    def refuse_unencrypted_mail(cls, value: str, info: ValidationInfo) -> str:
        sends = info.data.get("mail_delivery") == "smtp"
        if value == "none" and sends and not _is_this_machine(info.data.get("smtp_host")):
            reason = "sends links that reset passwords unencrypted; set it to starttls or tls"
            refuse_outside_development(reason, info)
        return value

    @field_validator("frontend_url")
    @classmethod
    def refuse_unencrypted_links(cls, value: str, info: ValidationInfo) -> str:
        if _is_unencrypted(value):
            refuse_outside_development("opens pages unencrypted; write https://", info)
        return value

    @field_validator("mail_from", "smtp_host", "frontend_url")
    @classmethod
    def require_for_smtp(cls, value: ValueT, info: ValidationInfo) -> ValueT:
        if not value and info.data.get("mail_delivery") == "smtp":
            raise ValueError("missing, but required if MAIL_DELIVERY is smtp")
        return value

    @field_validator("registration")
    @classmethod
    def refuse_invitations_without_mail(cls, value: str, info: ValidationInfo) -> str:
        return refuse_without_mail(value, info) if value == "invitation" else value

    @field_validator("smtp_username")
    @classmethod
    def refuse_to_sign_in_unencrypted(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("smtp_security") == "none":
            raise ValueError("would be sent unencrypted; set SMTP_SECURITY to starttls or tls")
        return value
