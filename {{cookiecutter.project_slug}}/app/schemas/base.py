"""Bases of request and response bodies."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


class RequestBody(BaseModel):
    """A body that clients send. An unknown field is an error: a typo must not pass in silence."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def _without_default(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class PatchBody(RequestBody):
    """A PATCH body: a field that is left out stays as it is; null is refused.

    Declare fields as `SomeType | SkipJsonSchema[None] = None` and read the body with
    `model_dump(exclude_unset=True)`.
    """

    model_config = ConfigDict(json_schema_extra=_without_default)

    @model_validator(mode="after")
    def refuse_null(self) -> Self:
        nulls = [name for name in sorted(self.model_fields_set) if getattr(self, name) is None]
        if nulls:
            raise ValueError(f"null is not a value of {', '.join(nulls)}; leave it out to keep it")
        return self


class ResponseBody(BaseModel):
    """A body that the service sends, made from a row with `model_validate(row)`."""

    model_config = ConfigDict(from_attributes=True)
