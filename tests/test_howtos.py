"""The how-tos that change code do what they say: their changes and commands are carried out in a bake."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from baking import ROOT, bake, bake_repository, run, run_check, run_suite
from cast import COMMANDS, PICTURE, comparable, printed_in, shown
from documented_edits import Block, blocks_of
from parameters import FIRST, FIRST_AND_LAST, in_each_run
from postgres import scratch_database
from repositories import git
from terminal import Terminal
from test_updates import QUICK_CHECKS
from test_variants import CHECKS, SETTINGS
from variants import Variant

WITH_AUTH, WITHOUT_AUTH = FIRST_AND_LAST[:1], FIRST_AND_LAST[1:]
REVISIONS = "tests/migrations/test_revisions.py"
OF_ALL_RESOURCES = ("tests/test_architecture.py", "tests/test_endpoints.py")
OF_TENANTS = "tests/test_tenants.py"
OF_ARTICLES = (
    "app/models/article.py",
    "app/repositories/article_repo.py",
    "app/routes/articles.py",
    "app/schemas/article.py",
    "app/services/article_service.py",
)


def carry_out(project: Path, blocks: list[Block], env: Mapping[str, str]) -> None:
    """Change files and type commands in their order, but for those that make a resource."""
    terminal = Terminal(project, env)
    for block in blocks:
        if block.language == "diff":
            block.apply(project)
        for line in block.lines():
            if not line.startswith("uv run app new "):
                terminal.type_in(line)


def check(project: Path, workspace: Path, *tests: str) -> None:
    for command in CHECKS:
        run_check(project, workspace, *command)
    run_suite(project, *tests, "tests/test_architecture.py")


@pytest.mark.parametrize("variant", in_each_run([], slow=WITH_AUTH, of=FIRST_AND_LAST))
def test_field_setting_job_and_permission_are_added(
    variant: Variant, template: Path, workspace: Path, tmp_path: Path, database_server: str
) -> None:
    project = bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)

    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project, "app", "migrate", env=env)
        for page in ("fields", "settings", "jobs", "permissions"):
            carry_out(project, blocks_of(project / f"docs/howto/{page}.md"), env)

    assert "does not fit" not in run(project, "app", "recipes")
    check(
        project, workspace,
        "tests/routes/test_nicknames.py", "tests/routes/test_users.py", "tests/jobs", "tests/test_endpoints.py",
        "tests/cli/test_jobs.py", "tests/platform/test_config.py", "tests/platform/test_documents.py",
        "tests/platform/test_patterns.py", REVISIONS,
    )  # fmt: skip


@pytest.mark.parametrize("variant", in_each_run([], slow=WITHOUT_AUTH, of=FIRST_AND_LAST))
def test_relations_are_added_as_the_command_writes_them(
    variant: Variant, template: Path, workspace: Path, tmp_path: Path, database_server: str
) -> None:
    project = bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)
    blocks = blocks_of(project / "docs/howto/relations.md")
    new = [command for block in blocks for command in block.commands() if "new" in command]
    with_relations, category, tag, article = new
    for command in (category, tag, with_relations):
        run(project, *command)
    written = texts(project)
    run(project, "app", "remove", "article")
    run(project, *article)

    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project, "app", "migrate", env=env)
        carry_out(project, blocks, env)

    assert texts(project) == written
    check(project, workspace, "tests/routes/test_articles.py", "tests/test_endpoints.py", REVISIONS)


@pytest.mark.parametrize("variant", in_each_run([], slow=FIRST_AND_LAST, of=FIRST_AND_LAST))
def test_table_of_tenants_is_added_as_the_recipe_says(
    variant: Variant, template: Path, workspace: Path, tmp_path: Path, database_server: str
) -> None:
    project = bake_repository(template, tmp_path / "project", variant)
    run(project, "app", "recipe", "add", "tenants")
    blocks = blocks_of(project / "docs/recipes/tenants.md")
    (new,) = [command for block in blocks for command in block.commands() if "new" in command]
    written = run(project, *new)

    assert OF_TENANTS in written
    with pytest.raises(AssertionError, match=r"docs/recipes/tenants\.md says.*: \['articles'\]"):
        run_suite(project, OF_TENANTS, "-k", "for_all")
    next(project.glob("alembic/versions/*_add_articles_table.py")).unlink()
    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project, "app", "migrate", env=env)
        carry_out(project, blocks, env)

    shutil.copytree(ROOT / "tests" / "own_tenants", project, dirs_exist_ok=True)
    check(
        project, workspace, OF_TENANTS, "tests/test_articles_of_tenants.py", "tests/routes/test_articles.py",
        "tests/test_endpoints.py", REVISIONS,
    )  # fmt: skip


@pytest.mark.parametrize("variant", in_each_run([], slow=FIRST))
def test_resource_is_written_served_renamed_and_removed(
    variant: Variant, template: Path, workspace: Path
) -> None:
    """On the embedded server, whose tables the commands rename and drop."""
    folder = workspace / f"resource-{variant.name}"
    folder.mkdir()
    project = bake_repository(template, folder, variant, with_lock=True)
    blocks = blocks_of(project / "docs/howto/resources.md")
    *commands, removal = (command for block in blocks for command in block.commands())

    printed = {f"uv run {shlex.join(typed)}": type_in(project, typed) for typed in commands}
    assert "renamed  the table stories" in "".join(printed.values())
    if variant.use_auth:  # as in the picture of the template's README
        (new,) = printed.keys() & COMMANDS
        picture = PICTURE.read_text(encoding="utf-8")
        assert comparable(shown(printed[new])) == printed_in(picture, new)
    assert {command[1] for command in commands} >= {"dev", "new", "rename"}
    run(project, "app", "migrate")
    run(project, "alembic", "check")
    for command in QUICK_CHECKS:  # tests/test_own_resource.py runs all of them on what is written
        run(project, *command)
    run_suite(project, "tests/routes/test_stories.py", *OF_ALL_RESOURCES)

    assert removal[:2] == ["app", "remove"]
    assert "dropped  the table stories" in run(project, *removal)
    assert git(project, "status", "--porcelain") == ""
    run(project, "app", "migrate")
    run(project, "alembic", "check")


def type_in(project: Path, command: list[str]) -> str:
    """Do what a command does, and return what it prints."""
    match command:
        case ["app", "dev"]:  # which runs until somebody stops it
            with Terminal(project).serving("uv run app dev") as url:
                assert httpx.get(f"{url}/articles").json()["items"] == []
            return ""
        case ["pytest", *tests]:
            return run_suite(project, *tests)
        case ["app", "new", *_, "--dry-run"]:
            printed = run(project, *command)
            assert "+++ b/app/models/article.py\n" in printed
            assert git(project, "status", "--porcelain") == ""
            return printed
    return run(project, *command)


def texts(project: Path) -> dict[str, str]:
    return {name: (project / name).read_text(encoding="utf-8") for name in OF_ARTICLES}
