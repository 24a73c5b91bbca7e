"""Whatever can be typed after `app new` is refused, or becomes a resource that passes all checks."""

import re
from pathlib import Path

import pytest
from baking import bake, made_once, run, run_suite
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st
from postgres import scratch_database
from repositories import commit_all, git, make_repository
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
    "literal annotated visible parent owner"
).split()
TAKEN = "class date id json copy type column table any filters order news series".split()
# For each type: marks and defaults.
FIELDS = {
    "str:1": (["", "?"], ["=x"]),
    "str:2": (["", "?", "!"], []),
    "str:40": (["", "?", "!", "^", "?^", "!^"], ["=some words"]),
    "str:600": (["", "^"], []),
    "str:5000": (["", "?"], []),
    "text": (["", "?"], ["=none"]),
    "text:300": (["", "?"], []),
    "int": (["", "?", "!", "^", "?^"], ["=0", "=-7"]),
    "bigint": (["", "?", "!", "^"], ["=12345678901"]),
    "decimal:1:0": (["", "?", "^"], ["=5"]),
    "decimal:4:4": (["", "!", "^"], ["=0.5"]),
    "decimal:30:8": (["", "?", "!^"], ["=1.25"]),
    "float": (["", "?", "^"], ["=0.5", "=1"]),
    "bool": (["", "?", "^"], ["=true", "=false"]),
    "date": (["", "?", "!", "^"], ["=2026-01-31"]),
    "datetime": (["", "?", "!", "^"], ["=now"]),
    "uuid": (["", "?", "!", "^"], ["=random"]),
    "json": (["", "?"], ["={}"]),
    "enum:on,off": (["", "?", "^", "?^"], ["=on"]),
    "enum:a_1,b,c_c": (["", "?", "^"], ["=c_c"]),
}
WRONG = "str json! text^ bool! decimal:2:3 enum:One,Two enum:on many:nothing int=x varchar:3 str:601!".split()


@st.composite
def fields(draw: st.DrawFn, others: list[str]) -> str:
    kind = draw(st.sampled_from([*FIELDS]))
    marks, defaults = FIELDS[kind]
    value = st.sampled_from(marks).map(lambda mark: kind + mark)
    if defaults:
        value |= st.sampled_from(["", "?"]).flatmap(
            lambda mark: st.sampled_from(defaults).map(lambda default: kind + mark + default)
        )
    other = draw(st.sampled_from(others))
    endings = ["", "?", "!", ":restrict", ":set_null?", ":cascade", ":cascade?!"]
    reference = st.sampled_from([*(other + ending for ending in endings), f"many:{other}"])
    return draw(st.one_of(value, value, value, reference))


@st.composite
def definitions(draw: st.DrawFn) -> list[list[str]]:
    """Draw resources that may refer to those before them, as arguments of `app new`."""
    names = draw(st.lists(st.sampled_from(NOUNS), min_size=3, max_size=4, unique=True))
    found: list[list[str]] = []
    for number, name in enumerate(names):
        words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7, unique=True))
        others = ["user", *names[:number], *([name] if number == 3 else [])]
        found.append([name, *(f"{word}:{draw(fields(others))}" for word in words)])
    if draw(st.integers(0, 3)) == 0:
        wrong = st.sampled_from(
            [*(f"{word}:int" for word in TAKEN), *(f"word:{kind}" for kind in WRONG)]
        )
        found[-1].append(draw(wrong))
    return found


@pytest.fixture(
    scope="module",
    params=[pytest.param(variant, id=variant.name) for variant in (VARIANTS[0], VARIANTS[-1])],
)
def project(request: pytest.FixtureRequest, template: Path, workspace: Path) -> Path:
    variant: Variant = request.param

    def make(output_dir: Path) -> str:
        path = bake(template, output_dir, db_driver=variant.db_driver, use_auth=variant.use_auth)
        run(path, "python", "-V")  # which writes uv.lock
        make_repository(path)
        run(path, "app", "remove", "post")
        commit_all(path, "Take posts out")
        git(path, "tag", "before")
        return str(path)

    return Path(made_once(workspace / f"drawn-{variant.name}", make))


def add(project: Path, definition: list[str]) -> str:
    """Add a resource, or see that it is refused by a sentence and nothing has changed."""
    try:
        run(project, "app", "new", *definition)
    except AssertionError as error:
        refusal = str(error)
    else:
        commit_all(project, "Add a resource")
        return "written"
    assert re.search(r"exited with 1:\n(.*warning.*\n)*Error: .+\n?$", refusal), refusal
    assert "refuses what would be written" not in refusal
    assert not git(project, "status", "--porcelain")
    return "refused"


@settings(
    max_examples=6,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.generate],  # each example takes a minute, too long for shrinking
    suppress_health_check=list(HealthCheck),
)
@given(drawn=definitions())
def test_drawn_resources_are_refused_or_pass(
    project: Path, database_server: str, drawn: list[list[str]]
) -> None:
    git(project, "reset", "--hard", "--quiet", "before")
    git(project, "clean", "--force", "-d", "--quiet")
    for definition in drawn:
        note(" ".join(definition))
        event(add(project, definition))
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
