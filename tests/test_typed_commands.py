"""What the documents of a project have their reader type is typed in a bake, as it stands.

Whole suites are only collected, because tests/test_variants.py runs them. Nothing types the lines of
kubectl, which need a cluster; the project's own tests look for what they name.
"""

import json
import re
from pathlib import Path
from secrets import token_urlsafe

import httpx
import pytest
from baking import ROOT, bake, bake_repository
from filelock import FileLock
from parameters import FIRST, LAST, in_each_run
from postgres import scratch_database
from repositories import commit_all, git
from served_project import ADDRESS, PASSWORD, register
from terminal import SERVERS, Terminal, lines_of
from variants import VARIANTS, Variant

# The documents whose lines are typed here, in this order, and the modules that type those of the others.
HERE = (
    "README.md",
    "AGENTS.md",
    "docs/index.md",
    "docs/howto/recipes.md",
    "docs/security/personal-data.md",
)
ELSEWHERE = {
    "docs/deployment.md": "test_compose",
    "docs/howto/features.md": "test_features",
    "docs/howto/fields.md": "test_howtos",
    "docs/howto/jobs.md": "test_howtos",
    "docs/howto/permissions.md": "test_howtos",
    "docs/howto/relations.md": "test_howtos",
    "docs/howto/resources.md": "test_howtos",
    "docs/howto/settings.md": "test_howtos",
    "docs/howto/upgrade.md": "test_updates",
    "docs/operations.md": "test_compose",
    "docs/recipes/tenants.md": "test_howtos",
}
# How the lines of README begin that are typed elsewhere: tests/test_compose.py has an engine, and
# tests/test_generated_clients.py npm.
OF_OTHER_TESTS = ("docker ", "echo ", "npx ")
# A page whose lines are those of another one, too.
REPEATS = {"docs/patterns/migrations.md": "docs/howto/fields.md"}
RECIPE = "uploads"


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_each_page_with_commands_is_typed_by_a_test(
    variant: Variant, template: Path, tmp_path: Path
) -> None:
    project = bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)
    documents = [*project.glob("*.md"), *project.glob("docs/**/*.md")]
    with_lines = {str(path.relative_to(project)) for path in documents if lines_of(path)}

    assert with_lines == {*HERE, *ELSEWHERE, *REPEATS}
    for page, other in REPEATS.items():
        assert set(lines_of(project / page)) <= set(lines_of(project / other))
    for page, module in ELSEWHERE.items():
        source = (ROOT / f"tests/{module}.py").read_text(encoding="utf-8")
        assert page in source or Path(page).stem in re.findall(r'"(\w+)"', source)


@pytest.mark.parametrize("variant", in_each_run([], slow=[*FIRST, *LAST]))
def test_lines_do_what_they_say(
    variant: Variant, template: Path, workspace: Path, database_server: str
) -> None:
    """The database is the embedded one until README has its reader write `.env`."""
    folder = workspace / f"typed-{variant.name}"
    folder.mkdir()
    project = bake_repository(template, folder, variant, with_lock=True)
    terminal = Terminal(project, {"MYPY_CACHE_DIR": str(workspace / "mypy")})
    typed: dict[str, str] = {}
    with scratch_database(database_server) as url:
        for page in HERE:
            for line in lines_of(project / page):
                if page != "README.md" or not line.startswith(OF_OTHER_TESTS):
                    typed[line] = type_in(terminal, line, url)
            (project / ".env").unlink(missing_ok=True)
            commit_all(project, f"Do as {page} says")

    stored = json.loads((project / "ann.json").read_text(encoding="utf-8"))
    assert ADDRESS in str(stored["users"])
    assert "openapi" in json.loads((project / "openapi.json").read_text(encoding="utf-8"))
    assert [*project.glob("*-client/*/api")], "no client was generated"
    assert (
        git(project, "diff", "--stat", ":/docs.index", ":/docs.howto.recipes", "--", ":!uv.lock")
        == ""
    )
    assert "+++ " in typed["uv run app recipe add NAME --dry-run"]
    assert "Erased." in typed["uv run app erase-user ann@example.com"]


def type_in(terminal: Terminal, line: str, url: str) -> str:
    """Type a line, and do what the text around it says. Return what it printed."""
    project = terminal.project
    if line in SERVERS:
        with terminal.serving(line) as address:
            if line == "uv run app dev" and not git(project, "log", "--format=%s", "--skip=1"):
                register(
                    address, password=PASSWORD if (project / "app/schemas/auth").exists() else None
                )
            return httpx.get(address).text
    line = line.replace("NAME", RECIPE)
    match line.split():
        case ["uv", "run", "app", "check"]:
            fill_in(project / ".env", url)
        case ["uv", "run", "app", "create-admin", *_]:
            return terminal.type_in(line, ADMIN_PASSWORD=PASSWORD)
        case ["uv", "run", "app", "erase-user", *_] | ["uv", "run", "app", "recipe", "remove", _]:
            return terminal.type_in(line, answers="y\n")
        case ["uv", "run", "mypy"]:
            with FileLock(f"{terminal.variables['MYPY_CACHE_DIR']}.lock"):
                return terminal.type_in(line)
    return terminal.type_in(line)


def fill_in(file: Path, url: str) -> None:
    """Write what the example leaves to be filled in."""
    text = file.read_text(encoding="utf-8")
    for name, value in (("DATABASE_URL", url), ("SECRET_KEY", token_urlsafe(48))):
        text = re.sub(rf"^(# )?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
