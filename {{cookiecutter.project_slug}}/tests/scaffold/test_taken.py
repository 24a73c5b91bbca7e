"""The names of a resource are variables in what `app new` writes, and must differ from the others there."""

import symtable
from collections.abc import Iterator

import pytest

from app.core.env_file import PROJECT
from scaffold import taken
from scaffold.definition import define
from scaffold.project import Project
from scaffold.resource import Resource
from scaffold.writing import render

# Names with "qq" are those of the resource and its fields, and all others are of the templates.
FIELDS = (
    "qq_title:str:200^", "qq_code:str:2!", "qq_body:text?", "qq_price:decimal:10:2^", "qq_status:enum:a,b^",
    "qq_author:user", "qq_editor:user?", "qq_parent:qq_thing?", "qq_likes:many:user",
    "qq_others:many:qq_thing",
)  # fmt: skip


def variables_beside(variable: str, resource: Resource, project: Project) -> Iterator[str]:
    """Yield the variables of all functions that have this one, too."""
    for name, text in render(project, resource).items():
        for scope in scopes(symtable.symtable(text, name, "exec")):
            names = {*scope.get_locals(), *scope.get_frees()}
            if variable in names:
                yield from (one for one in names if one.isidentifier() and "qq" not in one)


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.Function]:
    """Yield the scopes of functions, of lambdas and of comprehensions."""
    if isinstance(table, symtable.Function):
        yield table
    for child in table.get_children():
        yield from scopes(child)


@pytest.mark.parametrize(
    ("variable", "refused"),
    [("qq_thing", taken.VARIABLES_BESIDE_ONE), ("qq_things", taken.VARIABLES_BESIDE_MANY)],
)
def test_variables_of_the_templates_are_refused(variable: str, refused: frozenset[str]) -> None:
    project = Project(PROJECT)
    found = {
        name
        for fields in (FIELDS, FIELDS[:1], ["qq_count:int"])
        for name in variables_beside(variable, define(project, "qq_thing", fields), project)
    }

    assert found - taken.VARIABLES - taken.FUNCTIONS == refused
