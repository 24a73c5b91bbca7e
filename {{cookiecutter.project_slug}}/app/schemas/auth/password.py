"""Passwords in request bodies. Services enforce the password policy."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

# More than any policy allows. Bounds the time for normalizing and hashing.
_MAX_LENGTH: Final = 512


def _check(password: SecretStr) -> SecretStr:
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:
        raise PydanticCustomError(
            "string_unicode", "A password must be Unicode text, without lone surrogates"
        ) from None
    if len(password) > _MAX_LENGTH:
        raise PydanticCustomError(
            "string_too_long", f"A password must have at most {_MAX_LENGTH} characters"
        )
    return password


Password = Annotated[
    SecretStr, AfterValidator(_check), Field(json_schema_extra={"maxLength": _MAX_LENGTH})
]
