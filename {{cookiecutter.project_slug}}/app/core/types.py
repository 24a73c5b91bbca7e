"""Field types that schemas, routes and cursors share."""

import json
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, StringConstraints
from pydantic_settings import NoDecode
from starlette.convertors import Convertor, register_url_convertor

# Integers in JSON are exact up to this limit (RFC 8259, section 6). PostgreSQL's bigint is larger.
Id = Annotated[int, Field(ge=1, le=2**53 - 1, examples=[1])]

Seconds = Annotated[float, Field(ge=0.001, le=3600)]  # to the millisecond

# PostgreSQL cannot store NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]

# Text with at least one visible character. Control and blank characters are listed, because `\s`
# means other characters in Rust (Pydantic) than in JSON Schema.
VisibleText = Annotated[
    str,
    StringConstraints(
        pattern=(
            r"^[^\x00]*"
            r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"
            r"[^\x00]*$"
        )
    ),
]

# Put it last, so that length limits apply to the text as it was sent, as OpenAPI says.
Trimmed = AfterValidator(str.strip)


def _split_list(value: object) -> object:
    """Split a text that is separated by commas, or a JSON list."""
    if not isinstance(value, str):
        return value
    try:
        items = json.loads(value)
    except ValueError:  # `[::1]` is not JSON either
        items = value.split(",") if value.strip() else []
    return [str(item).strip().lower() for item in items] if isinstance(items, list) else [value]


_HOST: Final = r"([a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\]"
_Host = Annotated[str, Field(pattern=rf"^(\*\.)?({_HOST})$")]
_Origin = Annotated[str, Field(pattern=rf"^(\*|https?://({_HOST})(:[0-9]+)?)$")]

# Lists in settings, separated by commas or written as JSON.
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_list)]
Hosts = Annotated[tuple[_Host, ...], NoDecode, BeforeValidator(_split_list)]
Origins = Annotated[tuple[_Origin, ...], NoDecode, BeforeValidator(_split_list)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split_list)]


class _IdConvertor(Convertor[str]):
    """The converter of ids in paths, such as `{user_id:id}`: up to 19 digits.

    Starlette's own `int` raises an error for more than 4300 digits. Other texts do not match, so
    `/users/me` is not taken for `/users/{user_id:id}`.
    """

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())
