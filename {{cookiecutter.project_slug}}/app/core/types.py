"""Field types that schemas, routes and cursors share."""

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, StringConstraints
from pydantic_settings import NoDecode
from starlette.convertors import Convertor, register_url_convertor

# Integers in JSON are exact up to this limit (RFC 8259, section 6). PostgreSQL's bigint is larger.
Id = Annotated[int, Field(ge=1, le=2**53 - 1, examples=[1])]

Seconds = Annotated[float, Field(ge=0.001, le=3600)]  # to the millisecond

# PostgreSQL cannot store NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]

# Control and blank characters, listed because `\s` means other characters in Rust (Pydantic) than in
# JSON Schema.
_BLANK: Final = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
# Characters that end lines (Cc, Zl, Zp) or hide and reorder text (Cf), and so deceive who reads a
# name in a log, a mail or a list. The two joiners (U+200C and U+200D) are allowed, because Persian
# and emoji sequences need them. The tags (U+E0020 and up) are not, although the flags of England,
# Scotland and Wales consist of them: any text can be hidden in them.
_UNSEEN: Final = (
    r"\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b"
    r"\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    # Not escaped, because languages write escapes beyond U+FFFF in different ways.
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f"
)


def _visible(*, without: str) -> StringConstraints:
    """Require a visible character, and refuse those of the given class."""
    return StringConstraints(pattern=f"^[^{without}]*[^{without}{_BLANK}][^{without}]*$")


# Text with at least one visible character.
VisibleText = Annotated[str, _visible(without=r"\x00")]

# The same in one line, for titles and names.
LineText = Annotated[str, _visible(without=_UNSEEN)]

# Put it last, so that length limits apply to the text as it was sent, as OpenAPI says.
Trimmed = AfterValidator(str.strip)


def _split_list(value: object) -> object:
    """Split a comma-separated text."""
    if isinstance(value, str):
        return [item.strip().lower() for item in value.split(",")] if value.strip() else []
    return value


_HOST: Final = r"([a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\]"
_Host = Annotated[str, Field(pattern=rf"^(\*\.)?({_HOST})$")]
_Origin = Annotated[str, Field(pattern=rf"^(\*|https?://({_HOST})(:[0-9]+)?)$")]

# Comma-separated lists in settings.
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
