"""Base classes of request and response bodies."""

from typing import Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError


class RequestBody(BaseModel):
    """A request body. Unknown fields are errors, so that typos are noticed.

    A body with more members than fields gets a single error; otherwise a client could make the
    service describe 10,000 errors. For the same reason, give lists a `max_length` and
    `FailFast()`.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def limit_members(cls, data: object) -> object:
        if isinstance(data, dict) and len(data) > len(cls.model_fields):
            names = [field.alias or name for name, field in cls.model_fields.items()]
            raise PydanticCustomError(
                "too_many_members",
                "The object has {number} members, but may only have: {names}",
                {"number": len(data), "names": ", ".join(names)},
            )
        return data


_NULLABLE: Final = "x-nullable"  # in the schema of a field, until its body has been described


class Nullable:
    """Marks a field of a `PatchBody` that may be set to null: `Annotated[str | None, Nullable]`."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {_NULLABLE: True}


def _is_nullable(body: type[BaseModel], name: str) -> bool:
    metadata = body.model_fields[name].metadata
    return any(item is Nullable or isinstance(item, Nullable) for item in metadata)


def _describe_as_optional(schema: dict[str, Any]) -> None:
    """Describe each field as optional, and only nullable ones as nullable."""
    for field in schema.get("properties", {}).values():
        field.pop("default", None)
        is_nullable = field.pop(_NULLABLE, False)
        kinds = field.get("anyOf", [])
        if {"type": "null"} in kinds and not is_nullable:
            others = [kind for kind in kinds if kind != {"type": "null"}]
            field["anyOf"] = others
            if len(others) == 1:
                del field["anyOf"]
                field |= others[0]


class PatchBody(RequestBody):
    """A PATCH body. Omitted fields stay unchanged.

    Declare every field as `SomeType | None = None`. Null is refused unless the field is
    `Nullable`. Read the values by `columns()`.
    """

    model_config = ConfigDict(json_schema_extra=_describe_as_optional)

    @field_validator("*", mode="before")
    @classmethod
    def refuse_null(cls, value: object, info: ValidationInfo) -> object:
        if value is None and info.field_name and not _is_nullable(cls, info.field_name):
            raise ValueError("must not be null; omit the field to leave it unchanged")
        return value

    def columns(self) -> dict[str, Any]:
        """Return the values to change by column name."""
        return self.model_dump(exclude_unset=True, exclude_computed_fields=True)


class ResponseBody(BaseModel):
    """A response body. Create it from a row by `model_validate(row)`."""

    model_config = ConfigDict(from_attributes=True)
