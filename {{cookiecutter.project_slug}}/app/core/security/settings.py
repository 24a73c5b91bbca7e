"""The settings of accounts, and of the mail that they need."""

from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    EmailStr,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.types import Seconds

ValueT = TypeVar("ValueT")


def refuse_without_mail(value: ValueT, info: ValidationInfo) -> ValueT:
    """Raise `ValueError` for a feature that is on where no mail can be sent."""
    if value and info.data.get("mail_delivery") == "none":
        raise ValueError("needs mail; set MAIL_DELIVERY to smtp, with SMTP_HOST and MAIL_FROM")
    return value


# For the setting of a feature that sends mail. It has to stand below `mail_delivery`.
NeedsMail = AfterValidator(refuse_without_mail)


OptionalEmail = Annotated[EmailStr | None, BeforeValidator(lambda value: value or None)]


class PasswordSettings(BaseSettings):
    """What a password may be, and how it is hashed."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    password_min_length: int = Field(
        default=8, ge=8, description="Characters that a password has at least."
    )
    password_max_length: int = Field(
        default=128, ge=64, le=512, description="Characters that a password has at most."
    )
    password_refuse_common: bool = Field(
        default=True, description="Refuse passwords that attackers try first."
    )
    # The defaults are the second choice of RFC 9106, section 4: the one for less memory.
    argon2_time_cost: int = Field(
        default=3, ge=1, description="Passes of argon2id over its memory, for each password."
    )
    argon2_memory_kib: int = Field(
        default=65536, ge=8, description="KiB of memory of argon2id, for each password."
    )
    argon2_parallelism: int = Field(
        default=4, ge=1, description="Lanes of argon2id, for each password."
    )


class SessionSettings(BaseSettings):
    """How long a user stays signed in."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    session_days: int = Field(
        default=30, ge=1, description="Days after which a sign-in has to be repeated in any case."
    )
    session_idle_days: int = Field(
        default=7, ge=1, description="Days without use after which a sign-in has to be repeated."
    )


class AuthSettings(PasswordSettings, SessionSettings):
    """What the service is told about accounts, and about the mail that they need."""

    secret_key: SecretStr = Field(
        description="Signs access tokens: 32 random characters or more, the same in every process."
    )
    secret_key_previous: SecretStr | None = Field(
        default=None,
        description="The SECRET_KEY before: it signs no more, but what it signed counts.",
    )
    token_issuer: str = Field(
        default="{{ cookiecutter.project_slug }}",
        min_length=1,
        description="Who issues access tokens (`iss`); others are refused.",
    )
    token_audience: str = Field(
        default="{{ cookiecutter.project_slug }}",
        min_length=1,
        description="Whom access tokens are for (`aud`); others are refused.",
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
    frontend_url: str = Field(
        default="",
        validate_default=True,
        pattern=r"^(https?://[^\s#?]*[^\s#?/])?$",
        description="Where the pages are that links in mails open, as https://app.example.com.",
    )
    sessions_per_user: int = Field(
        default=20, ge=1, description="Devices on which a user may be signed in; the idlest goes."
    )
    refresh_grace_seconds: int = Field(
        default=10,
        ge=0,
        le=60,
        description="Seconds in which a client that lost an answer may send its refresh token again.",
    )
    registration: Literal["open", "closed", "invitation"] = Field(
        default="open",
        description="Who may register: everybody, nobody, or whom an administrator has invited.",
    )
    require_verified_email: Annotated[bool, NeedsMail] = Field(
        default=False,
        description="Let only those sign in who have shown that they read their mail.",
    )
    password_tries_per_account: int = Field(
        default=10,
        ge=1,
        description="Passwords that one address may try on one account in 15 minutes.",
    )
    password_tries_per_address: int = Field(
        default=100, ge=1, description="Passwords that one address may try in 15 minutes."
    )
    mails_per_account: int = Field(
        default=5, ge=1, description="Mails that may be asked for to one account in an hour."
    )
    mails_per_address: int = Field(
        default=30, ge=1, description="Mails that one address may ask for in an hour."
    )

    @field_validator("secret_key", "secret_key_previous")
    @classmethod
    def refuse_weak_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Length alone lets `aaaa...` pass, so the number of distinct characters counts too."""
        secret = value.get_secret_value() if value else ""
        if not secret and info.field_name == "secret_key_previous":
            return None
        if len(secret) < 32 or len(set(secret)) < 10:
            raise ValueError(
                "too easy to guess; make one with: "
                "python -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
        return value

    @field_validator("mail_from", "smtp_host", "frontend_url")
    @classmethod
    def require_for_smtp(cls, value: ValueT, info: ValidationInfo) -> ValueT:
        if not value and info.data.get("mail_delivery") == "smtp":
            raise ValueError("missing, though MAIL_DELIVERY is smtp")
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
