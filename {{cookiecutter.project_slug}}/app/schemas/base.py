"""Bases of request and response bodies."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class RequestBody(BaseModel):
    """A body that clients send. An unknown field is an error: a typo must not pass in silence."""

    model_config = ConfigDict(extra="forbid")


def _describe_as_optional(schema: dict[str, Any]) -> None:
    """Say of each field that it may be left out, where Pydantic says that it may be null."""
    for field in schema["properties"].values():
        del field["default"]
        field |= next(kind for kind in field.pop("anyOf") if kind != {"type": "null"})


class PatchBody(RequestBody):
    """A PATCH body: a field that is left out stays as it is; null is refused.

    Declare every field as `SomeType | None = None` and read the body with
    `model_dump(exclude_unset=True)`.
    """

    model_config = ConfigDict(json_schema_extra=_describe_as_optional)

    @field_validator("*", mode="before")
    @classmethod
    def refuse_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("null is no value for this field; leave it out to keep the old one")
        return value


class ResponseBody(BaseModel):
    """A body that the service sends, made from a row with `model_validate(row)`."""

    model_config = ConfigDict(from_attributes=True)
