"""PATCH: fields that are sent are written, null included. Omitted fields stay unchanged."""

from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import FastAPI
from pydantic import AliasChoices, BaseModel, Field, ValidationError, computed_field
from pydantic.json_schema import SkipJsonSchema

from app.schemas.base import Nullable, PatchBody
from tests.factories import Factory
from tests.platform.probe import make_probe

REFUSAL = "must not be null; omit the field to leave it unchanged"


@pytest.mark.parametrize(
    ("body", "note"), [({"note": None}, None), ({}, "Before"), ({"note": "After"}, "After")]
)
async def test_nullable_column_is_set_to_null_by_null_alone(
    probes: httpx.AsyncClient, make: Factory, body: dict[str, Any], note: str | None
) -> None:
    probe = await make_probe(make, note="Before")
    path = f"/probes/{probe.id}"

    response = await probes.patch(path, json=body)

    assert (response.status_code, response.json()["note"]) == (200, note)
    assert (await probes.get(path)).json()["note"] == note


async def test_null_is_refused_where_the_column_allows_none(
    probes: httpx.AsyncClient, make: Factory
) -> None:
    probe = await make_probe(make, note="Before")
    path = f"/probes/{probe.id}"

    response = await probes.patch(path, json={"name": None, "note": None})

    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["loc"] == ["body", "name"]
    assert error["detail"] == REFUSAL
    assert (await probes.get(path)).json()["note"] == "Before"


def test_document_says_what_may_be_null(probe_app: FastAPI) -> None:
    schema = probe_app.openapi()["components"]["schemas"]["ProbePatch"]

    text = {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\x00]*$"}
    assert "required" not in schema
    assert schema["properties"] == {
        "name": text | {"title": "Name"},
        "note": {"anyOf": [text, {"type": "null"}], "title": "Note"},
    }


class Address(BaseModel):
    city: str


class EveryKindPatch(PatchBody):
    number_or_text: int | str | None = None
    nullable_number_or_text: Annotated[int | str | None, Nullable] = None
    limit: int = 5
    address: Address | None = None
    nullable_address: Annotated[Address | None, Nullable] = None
    kind: Literal["a", "b"] | None = None
    renamed: str | None = Field(default=None, alias="otherName", description="Another name.")
    nullable_renamed: Annotated[str | None, Nullable] = Field(default=None, alias="nullableName")
    read_as: str | None = Field(default=None, validation_alias="readAs")
    read_as_any: str | None = Field(default=None, validation_alias=AliasChoices("first", "other"))
    marked: Annotated[str | None, Nullable()] = None
    not_shown: SkipJsonSchema[str | None] = None

    @computed_field
    def is_empty(self) -> bool:
        return not self.model_fields_set


NULLABLE = {"nullable_number_or_text", "nullable_address", "nullableName", "marked"}


def test_document_describes_every_kind_of_field() -> None:
    properties = EveryKindPatch.model_json_schema()["properties"]

    assert {name for name, field in properties.items() if {"type": "null"} in kinds(field)} == (
        NULLABLE
    )
    assert [name for name, field in properties.items() if "default" in field] == []
    assert kinds(properties["number_or_text"]) == [{"type": "integer"}, {"type": "string"}]
    assert properties["address"] == {"$ref": "#/$defs/Address"}
    assert properties["limit"] == {"title": "Limit", "type": "integer"}
    assert properties["kind"] == {"enum": ["a", "b"], "title": "Kind", "type": "string"}
    assert properties["otherName"] == {
        "description": "Another name.",
        "title": "Othername",
        "type": "string",
    }


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_fields_that_are_not_shown_or_computed_do_not_shift_the_others(
    mode: Literal["validation", "serialization"],
) -> None:
    properties = EveryKindPatch.model_json_schema(mode=mode, by_alias=False)["properties"]

    assert "not_shown" not in properties
    assert ("is_empty" in properties) == (mode == "serialization")
    assert {name for name, field in properties.items() if {"type": "null"} in kinds(field)} == {
        "nullable_number_or_text",
        "nullable_address",
        "nullable_renamed",
        "marked",
    }
    assert "x-nullable" not in str(properties)


def kinds(field: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = field.get("anyOf", [])
    return found


@pytest.mark.parametrize("name", EveryKindPatch.model_json_schema()["properties"])
def test_null_is_taken_by_nullable_fields_alone(name: str) -> None:
    if name in NULLABLE:
        assert list(EveryKindPatch.model_validate({name: None}).columns().values()) == [None]
    else:
        with pytest.raises(ValidationError, match=REFUSAL):
            EveryKindPatch.model_validate({name: None})


def test_default_is_not_written_where_nothing_was_sent() -> None:
    assert EveryKindPatch.model_validate({}).columns() == {}
    assert EveryKindPatch.model_validate({"limit": 5}).columns() == {"limit": 5}
