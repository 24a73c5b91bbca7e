"""What can be typed after `app new` becomes a resource that passes all checks, and what cannot is refused."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from baking import bake_repository, made_once, run, run_suite
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from postgres import scratch_database
from repositories import commit_all, git
from test_variants import CHECKS, SETTINGS
from variants import VARIANTS, Variant

pytestmark = pytest.mark.full

NOUNS = (
    "airport box city daisy engine glass hero ink_jet journal_entry knife life_guard mouse note_book "
    "ox potato quiz record tooth user_account valley_map witness yacht order group"
).split()
# Some mean something to Python, PostgreSQL or a library.
WORDS = (
    "title name body state size price rank day moment key options data text value code level weight note "
    "kind final field index status request response session page query number make client decimal "
    "literal annotated visible parent owner type filters news series"
).split()
# As references or links they would be variables, or functions of Python.
NEVER_REFERENCES = {"number", "make", "type", "filters"}
TAKEN = "class date id json copy column table any order model_name created_at".split()
TAKEN_BY_RESOURCES = "user list request news metric none articles".split()
# For each type: marks and defaults.
FIELDS = {
    "str:1": (["", "?"], ["=x"]),
    "str:2": (["", "?", "!"], []),
    "str:40": (["", "?", "!", "^", "?^", "!^"], ["=some words"]),
    "str:600": (["", "^"], []),
    "str:5000": (["", "?"], []),
    "text": (["", "?"], ["=none"]),
    "text:2": (["", "?!", "!"], []),
    "text:300": (["", "?", "!", "^", "?^", "!^"], ["=some words"]),
    "text:601": (["", "?"], []),
    "int": (["", "?", "!", "^", "?^"], ["=0", "=-7"]),
    "bigint": (["", "?", "!", "^"], ["=12345678901"]),
    "decimal:1:0": (["", "?", "^"], ["=5"]),
    "decimal:4:4": (["", "!", "^"], ["=0.5"]),
    "decimal:30:8": (["", "?", "!^"], ["=1.25"]),
    "float": (["", "?", "!", "^", "!^"], ["=0.5", "=1"]),
    "bool": (["", "?", "^"], ["=true", "=false"]),
    "date": (["", "?", "!", "^"], ["=2026-01-31"]),
    "datetime": (["", "?", "!", "^"], ["=now"]),
    "uuid": (["", "?", "!", "^"], ["=random"]),
    "json": (["", "?"], ["={}"]),
    "enum:on,off": (["", "?", "^", "?^", "?!"], ["=on"]),
    "enum:a_1,b,c_c": (["", "?", "^", "?!^"], ["=c_c"]),
    "enum:EUR,in-review,another,2xl": (["", "?", "^", "?!"], ["=in-review", "=2xl"]),
}
WRONG = (
    "str json! json^ text^ text:601! bool! bool?! decimal:2:3 enum:one,two_,three enum:on enum:on,off! many:nothing int=x "
    "varchar:3 str:601!"
).split()


@dataclass(frozen=True)
class Drawn:
    """Arguments of `app new`: of resources that can be written one after the other, and then one that cannot."""

    resources: list[list[str]]
    refused: list[str]


@st.composite
def values(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from([*FIELDS]))
    marks, defaults = FIELDS[kind]
    found = st.sampled_from(marks).map(lambda mark: kind + mark)
    if defaults:
        found |= st.sampled_from(["", "?"]).flatmap(
            lambda mark: st.sampled_from(defaults).map(lambda default: kind + mark + default)
        )
    return draw(found)


def references(others: list[str], itself: str) -> st.SearchStrategy[str]:
    """Draw a reference to another resource or, if one is named, to the resource itself."""
    optional = ["?", ":set_null?", ":cascade?!"]
    endings = ["", "!", ":restrict", ":cascade", *optional]
    to_others = [one for other in others for one in (*_ending(other, endings), f"many:{other}")]
    to_itself = [*_ending(itself, optional), f"many:{itself}"] if itself else []
    return st.sampled_from(to_others + to_itself)


def _ending(name: str, endings: list[str]) -> list[str]:
    return [name + ending for ending in endings]


@st.composite
def fields(draw: st.DrawFn, others: list[str], itself: str) -> list[str]:
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7, unique=True))
    found = []
    for word in words:
        is_reference = word not in NEVER_REFERENCES and draw(st.integers(0, 3)) == 3
        found.append(f"{word}:{draw(references(others, itself) if is_reference else values())}")
    if len(found) == 1 and re.search(r":user(!|:\w+)?$", found[0]):
        found.append("word:int")  # an owner alone could not be changed
    return found


@st.composite
def definitions(draw: st.DrawFn) -> Drawn:
    """Draw resources that may refer to those before them, and one that has to be refused."""
    names = draw(st.lists(st.sampled_from(NOUNS), min_size=4, max_size=5, unique=True))
    *names, another = names
    resources = []
    for number, name in enumerate(names):
        others = ["user", *names[:number]]
        resources.append([name, *draw(fields(others, name if number == 3 else ""))])
    wrong = [*(f"{word}:int" for word in TAKEN), *(f"word:{kind}" for kind in WRONG)]
    wrong += [f"{word}:many:user" for word in NEVER_REFERENCES]
    wrong += [f"word:{another}", f"word:many:{another}"]
    a_field = st.sampled_from(wrong).map(lambda field: [another, "title:int", field])
    a_name = st.sampled_from([*TAKEN_BY_RESOURCES, names[0]]).map(lambda name: [name, "title:int"])
    return Drawn(resources, draw(a_field | a_name))


@pytest.fixture(
    scope="module",
    params=[pytest.param(variant, id=variant.name) for variant in VARIANTS],
)
def project(request: pytest.FixtureRequest, template: Path, workspace: Path) -> Path:
    variant: Variant = request.param

    def make(output_dir: Path) -> str:
        path = bake_repository(template, output_dir, variant, with_lock=True)
        run(path, "app", "remove", "post")
        commit_all(path, "Take posts out")
        git(path, "tag", "before")
        return str(path)

    return Path(made_once(workspace / f"drawn-{variant.name}", make))


def write(project: Path, definition: list[str]) -> None:
    note(" ".join(definition))
    run(project, "app", "new", *definition)
    commit_all(project, "Add a resource")


def refuse(project: Path, definition: list[str]) -> None:
    """See that a resource is refused by a sentence, and nothing has changed."""
    note(" ".join(definition))
    with pytest.raises(AssertionError) as refused:
        run(project, "app", "new", *definition)
    refusal = str(refused.value)
    assert re.search(r"exited with 1:\n(.*warning.*\n)*Error: .+\n?$", refusal), refusal
    assert "refuses what would be written" not in refusal
    assert not git(project, "status", "--porcelain")


@settings(
    max_examples=4,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.generate],  # each example takes a minute, too long for shrinking
    suppress_health_check=list(HealthCheck),
)
@given(drawn=definitions())
def test_drawn_resources_pass_and_a_wrong_one_is_refused(
    project: Path, database_server: str, drawn: Drawn
) -> None:
    git(project, "reset", "--hard", "--quiet", "before")
    git(project, "clean", "--force", "-d", "--quiet")
    for definition in drawn.resources:
        write(project, definition)
    refuse(project, drawn.refused)
    for check in CHECKS:
        run(project, *check)
    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project, "app", "migrate", env=env)
        run(project, "alembic", "check", env=env)
    run_suite(
        project,
        "tests/routes",
        "tests/test_endpoints.py",
        "tests/test_architecture.py",
        "tests/migrations",
    )
