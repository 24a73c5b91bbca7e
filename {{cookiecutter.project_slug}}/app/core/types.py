"""Field types that schemas, routes and cursors share."""

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, StringConstraints
from pydantic_settings import NoDecode
from starlette.convertors import Convertor, register_url_convertor

# PostgreSQL's bigint goes further, but JSON numbers are exact up to here only (RFC 8259, section 6).
Id = Annotated[int, Field(ge=1, le=2**53 - 1, examples=[1])]

Seconds = Annotated[float, Field(ge=0.001, le=3600)]  # to the millisecond

# PostgreSQL's text holds every character but NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]

# Text with something to see in it, so that `str.strip` leaves something. Control and blank
# characters stand one by one: `\s` means others in Rust (Pydantic) than in JSON Schema.
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

# Put it last: the limits that OpenAPI names are those of the text as it was sent.
Trimmed = AfterValidator(str.strip)


def _split_list(value: object) -> object:
    """Split a text at its commas; an empty one has no items."""
    if isinstance(value, str):
        return [item.strip().lower() for item in value.split(",")] if value.strip() else []
    return value


_HOST: Final = r"([a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\]"
_Host = Annotated[str, Field(pattern=rf"^(\*\.)?({_HOST})$")]
_Origin = Annotated[str, Field(pattern=rf"^(\*|https?://({_HOST})(:[0-9]+)?)$")]

# Lists in settings, whose items are parted by commas.
Hosts = Annotated[tuple[_Host, ...], NoDecode, BeforeValidator(_split_list)]
Origins = Annotated[tuple[_Origin, ...], NoDecode, BeforeValidator(_split_list)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split_list)]


class _IdConvertor(Convertor[str]):
    """`{user_id:id}` in a path: digits, and few enough for Python to read as a number.

    Starlette's own `int` raises an error for a number of more than 4300 digits. Any other text
    is an unknown path (404), so `/users/import` and `/users/{user_id:id}` never meet.
    """

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())
