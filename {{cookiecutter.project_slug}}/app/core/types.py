"""Field types that schemas, routes and cursors share."""

import json
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    IPvAnyNetwork,
    JsonValue,
    StringConstraints,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import PydanticCustomError, core_schema
from pydantic_settings import NoDecode
from starlette.convertors import Convertor, register_url_convertor

from app.exceptions import ValidationError

# Integers in JSON are exact up to this limit (RFC 8259, section 6). PostgreSQL's bigint is larger.
Id = Annotated[int, Field(ge=1, le=2**53 - 1, examples=[1], json_schema_extra={"format": "int64"})]

# What integer columns hold; of bigint, those that JSON does.
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1, json_schema_extra={"format": "int32"})]
SafeInt = Annotated[int, Field(ge=1 - 2**53, le=2**53 - 1, json_schema_extra={"format": "int64"})]

Seconds = Annotated[float, Field(ge=0.001, le=3600)]  # to the millisecond


def _require_text(value: object) -> object:
    """Refuse numbers, which Pydantic would interpret as seconds since 1970."""
    is_number = isinstance(value, int | float) or (
        isinstance(value, str) and not re.match(r"[0-9]{4}-", value)
    )
    if is_number:
        raise PydanticCustomError("date_format", "Give a date or time as RFC 3339 has it")
    return value


def _in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC, which Python and the drivers may be unable to represent."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # no pattern in OpenAPI states this
        raise ValidationError(f"The time {moment.isoformat()} is out of range") from None


IsoDate = Annotated[date, BeforeValidator(_require_text)]
UtcDatetime = Annotated[AwareDatetime, BeforeValidator(_require_text), AfterValidator(_in_utc)]


def _keep_decimal(value: object, parse: ValidatorFunctionWrapHandler) -> Decimal:
    result: Decimal = value if isinstance(value, Decimal) else parse(value)
    return result


class ExactDecimal:
    """Marks a decimal of up to `precision` digits, `scale` of them after the point.

    It is a text in JSON, because many clients read numbers as binary floats:
    `Annotated[Decimal, ExactDecimal(10, 2)]`.
    """

    def __init__(self, precision: int, scale: int) -> None:
        digits = "[0-9]{1,%d}"
        whole = digits % (precision - scale) if precision > scale else "0"
        fraction = rf"(\.{digits % scale})?" if scale else ""
        self._pattern = f"^-?{whole}{fraction}$"

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text = core_schema.str_schema(pattern=self._pattern)
        parsed = core_schema.no_info_after_validator_function(Decimal, text)
        return core_schema.json_or_python_schema(
            json_schema=parsed,
            # Not a union, which would report what is wrong once for each of its members.
            python_schema=core_schema.no_info_wrap_validator_function(
                _keep_decimal, parsed, serialization=core_schema.simple_ser_schema("any")
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: f"{value:f}", return_schema=text, when_used="json"
            ),
        )


def _require_storable(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse infinite numbers and lone surrogates, which Python reads and PostgreSQL does not."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:  # no schema states this
        raise ValidationError(
            "A JSON object must have finite numbers, and text without lone surrogates"
        ) from None
    return value


JsonObject = Annotated[
    dict[str, JsonValue], Field(max_length=1000), AfterValidator(_require_storable)
]

# PostgreSQL cannot store NUL.
NO_NUL: Final = r"^[^\x00]*$"
NUL_REFUSED: Final = "Text must not contain NUL characters"
Text = Annotated[str, StringConstraints(pattern=NO_NUL)]

# Control and blank characters, listed because `\s` differs between Python and JSON Schema.
_BLANK: Final = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
# Characters that end lines (Cc, Zl, Zp) or hide and reorder text (Cf), and so deceive who reads a
# name in a log, a mail or a list. The two joiners (U+200C and U+200D) are allowed, because Persian
# and emoji sequences need them. The tags (U+E0020 and up) are not, although the flags of England,
# Scotland and Wales consist of them: any text can be hidden in them.
_UNSEEN: Final = (
    r"\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b"
    r"\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)
# Left out of the pattern in OpenAPI: JavaScript compiles it only with the flag `u`, which JSON Schema asks
# for and many validators do not set.
_UNSEEN_BEYOND_BMP: Final = (
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001\U000e0020-\U000e007f"
)


class Visible:
    """Marks text with at least one visible character and no NUL: `Annotated[str, ..., Visible()]`.

    In titles and names, `Visible(one_line=True)` also refuses characters that end lines, or that
    hide or reorder text. Put it after length limits and patterns, so that OpenAPI shows them. It is not
    a `pattern`, because a field can have only one, and its error would show the regular expression.
    """

    def __init__(self, *, one_line: bool = False) -> None:
        without = _UNSEEN if one_line else r"\x00"
        self._pattern = f"^[^{without}]*[^{without}{_BLANK}][^{without}]*$"
        self._is_visible = re.compile(f"[^{_BLANK}]").search
        beyond = _UNSEEN_BEYOND_BMP if one_line else ""
        self._has_unseen = re.compile(f"[{without}{beyond}]").search

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        described = handler(schema)
        if "pattern" in described:
            described["allOf"] = [{"pattern": self._pattern}]
        else:
            described["pattern"] = self._pattern
        return described

    def _check(self, value: str) -> str:
        if "\0" in value:
            raise PydanticCustomError("nul_character", NUL_REFUSED)
        if self._has_unseen(value):
            raise PydanticCustomError(
                "hidden_character",
                "Text must be one line, without characters that are invisible or reorder it",
            )
        if not self._is_visible(value):
            raise PydanticCustomError("blank_text", "Text must have a visible character")
        return value


VisibleText = Annotated[str, Visible()]

# The same in one line, for titles and names.
LineText = Annotated[str, Visible(one_line=True)]

# Three letters or digits in a row, which an index of trigrams finds. For OpenAPI, all characters beyond
# ASCII are letters, because each language's patterns classify them differently.
_SEARCHABLE: Final = r"[^\x00-/:-@\[-`{-\x7f]{3}"


def _require_searchable(text: str) -> str:
    """Require three letters or decimal digits in a row, of which PostgreSQL makes trigrams.

    Marks, such as vowels in Hindi, may stand between them.
    """
    reason = "Search for at least three letters or digits in a row"
    if not re.search(_SEARCHABLE, text):
        raise PydanticCustomError("text_too_short", reason)
    if not any(sum(map(_is_base, word)) >= 3 for word in _split_words(text)):
        raise ValidationError(reason, kind="text_too_short")  # no pattern in OpenAPI states this
    return text


def _is_base(character: str) -> bool:
    return character.isalpha() or character.isdecimal()


def _split_words(text: str) -> list[str]:
    return "".join(
        one if _is_base(one) or unicodedata.category(one).startswith("M") else " " for one in text
    ).split()


# A text to search a list for, as the query parameter `q`.
SearchText = Annotated[
    Text,
    StringConstraints(max_length=100),
    AfterValidator(_require_searchable),
    Field(json_schema_extra={"pattern": rf"^[^\x00]*{_SEARCHABLE}[^\x00]*$"}),
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
    if not isinstance(items, list):
        return [value]
    return [text for item in items if (text := str(item).strip().lower())]


def _split_hosts(value: object) -> object:
    """Split a list of hosts, of which `*` is the same as none: any host is allowed."""
    hosts = _split_list(value)
    return () if isinstance(hosts, list) and "*" in hosts else hosts


def _split_origins(value: object) -> object:
    """Split a list of origins, and write them as browsers send them."""
    origins = _split_list(value)
    return list(map(_as_sent, origins)) if isinstance(origins, list) else origins


def _as_sent(origin: str) -> str:
    """Leave out a slash at the end, and the port if it is that of the scheme."""
    origin = origin.rstrip("/")
    port = ":443" if origin.startswith("https:") else ":80"
    return origin.removesuffix(port)


def require_possible_port(port: str) -> None:
    """Raise `ValueError` for a port, given in digits, that is higher than 65535."""
    if len(port) > 5 or int(port) > 65535:
        raise ValueError("the highest port is 65535")


def _require_possible_port(origin: str) -> str:
    port = origin.rpartition(":")[2]
    if port.isdecimal():
        require_possible_port(port)
    return origin


_HOST: Final = r"([a-z0-9_-]+\.)*[a-z0-9_-]+|\[[0-9a-f:.]+\]"
_Host = Annotated[str, Field(pattern=rf"^(\*\.)?({_HOST})$")]
_Origin = Annotated[
    str,
    Field(pattern=rf"^(\*|https?://({_HOST})(:[1-9][0-9]*)?)$"),
    AfterValidator(_require_possible_port),
]

# Methods and header names (RFC 9110, section 5.6.2), or all of them.
_Method = Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z]+)$", to_upper=True)]
_HeaderName = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9!#$%&'*+.^_`|~-]+)$")]

# Lists in settings, separated by commas or written as JSON.
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_list)]
Hosts = Annotated[tuple[_Host, ...], NoDecode, BeforeValidator(_split_hosts)]
Origins = Annotated[tuple[_Origin, ...], NoDecode, BeforeValidator(_split_origins)]
Methods = Annotated[tuple[_Method, ...], NoDecode, BeforeValidator(_split_list)]
HeaderNames = Annotated[tuple[_HeaderName, ...], NoDecode, BeforeValidator(_split_list)]
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
