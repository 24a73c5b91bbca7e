"""Passwords in request bodies. What they may be is a rule of the services."""

from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr
from pydantic_core import PydanticCustomError

# Far more than any policy allows: to normalise and hash a text takes time for its length.
_MOST_SENT: Final = 512


def _refuse_flood(password: SecretStr) -> SecretStr:
    if len(password) > _MOST_SENT:
        raise PydanticCustomError(
            "string_too_long", f"A password has at most {_MOST_SENT} characters"
        )
    return password


Password = Annotated[SecretStr, AfterValidator(_refuse_flood)]
