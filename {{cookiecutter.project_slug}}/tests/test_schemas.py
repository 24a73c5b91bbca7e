"""Rules of request bodies, checked against the tables."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Annotated

from pydantic import Field, ValidationError

from app.models import Base
from app.schemas.base import Nullable, PatchBody
from tests.test_architecture import modules


def subclasses(kind: type[PatchBody]) -> Iterator[type[PatchBody]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def accepts_null(body: type[PatchBody], name: str) -> bool:
    key = body.model_fields[name].alias or name
    try:
        body.model_validate({key: None})
    except ValidationError as error:
        return all(one["loc"] != (key,) for one in error.errors())
    return True


def nulls_that_no_column_takes(bodies: Iterable[type[PatchBody]]) -> list[str]:
    """Return the fields that may be set to null in `NamePatch`, but not in the table of `Name`."""
    models = {mapper.class_.__name__: mapper for mapper in Base.registry.mappers}
    return [
        f"{body.__name__}.{name}"
        for body in bodies
        if (mapper := models.get(body.__name__.removesuffix("Patch")))
        for name in body.model_fields
        if name in mapper.columns and not mapper.columns[name].nullable and accepts_null(body, name)
    ]


def test_null_is_accepted_only_where_the_column_takes_it() -> None:
    """Otherwise a client's null becomes a 500."""
    for module in modules("app.schemas"):
        import_module(module)

    assert not nulls_that_no_column_takes(
        body for body in subclasses(PatchBody) if body.__module__.startswith("app.")
    )


def test_null_that_no_column_takes_would_be_found() -> None:
    class UserPatch(PatchBody):
        display_name: Annotated[str | None, Nullable] = None
        email: str | None = None
        is_active: Annotated[bool | None, Nullable] = Field(default=None, alias="isActive")

    assert nulls_that_no_column_takes([UserPatch]) == [
        "UserPatch.display_name",
        "UserPatch.is_active",
    ]
