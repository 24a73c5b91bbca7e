"""Passwords in request bodies."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from app.core.security.common_passwords import is_common
from app.core.security.policy import MAX_LENGTH, MIN_LENGTH, normalized

# One character may be sent as several, which NFKC composes. Normalising takes time for long texts.
_MOST_SENT: Final = 4 * MAX_LENGTH


def _refuse_flood(password: SecretStr) -> SecretStr:
    if len(password) > _MOST_SENT:
        raise PydanticCustomError(
            "string_too_long", f"A password has at most {MAX_LENGTH} characters"
        )
    return password


def _refuse_weak(password: SecretStr) -> SecretStr:
    """Ask for length, and for what few others have.

    Rules of composition would make passwords no harder to guess (ASVS 5, 6.2.5).
    """
    length = len(normalized(password))
    if length < MIN_LENGTH:
        raise PydanticCustomError(
            "string_too_short", f"A password has at least {MIN_LENGTH} characters"
        )
    if length > MAX_LENGTH:
        raise PydanticCustomError(
            "string_too_long", f"A password has at most {MAX_LENGTH} characters"
        )
    if is_common(normalized(password)):
        raise PydanticCustomError(
            "password_too_common", "This password is one of those that attackers try first"
        )
    return password


def _describe(schema: dict[str, Any]) -> None:
    """Name the limits in OpenAPI. Pydantic's own would count before the text is normalised."""
    schema |= {"minLength": MIN_LENGTH, "maxLength": MAX_LENGTH}


# A password to compare with a stored one: it may come from before a rule.
GivenPassword = Annotated[SecretStr, AfterValidator(_refuse_flood)]
Password = Annotated[
    SecretStr,
    AfterValidator(_refuse_flood),
    AfterValidator(_refuse_weak),
    Field(json_schema_extra=_describe),
]
