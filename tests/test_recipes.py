"""Recipes fit every bake that has them, alone and together, and what they make passes its checks and tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from baking import ROOT, bake_repository, made_once, run, run_check, run_suite
from changed_demo import CHANGED_DEMOS, ONE_OF_EACH, ChangedDemo, changed_once
from parameters import FIRST, FIRST_AND_LAST, in_each_run
from recipes import (
    NEEDS_DEMO,
    apply_problem,
    changes_demo,
    name_of,
    names_in,
    patch_of,
    patches,
    variants_of,
)
from refresh_recipes import refresh
from repositories import commit_all, git, make_repository
from test_variants import CHECKS, QUICK_CHECKS_FIRST, migrate_and_back
from variants import VARIANTS, Variant

# Besides the tests that recipes add: what a changed project may break, without the suite of the platform.
FAST_TESTS = (
    "tests/test_architecture.py", "tests/test_endpoints.py", "tests/migrations",
    "tests/platform/test_config.py", "tests/platform/test_documents.py", "tests/platform/test_interfaces.py",
    "tests/platform/test_migration_lint.py", "tests/platform/database/test_one_connection.py",
)  # fmt: skip

EACH = [
    pytest.param(patch, variant, id=f"{name_of(patch)}-{variant.name}")
    for patch in patches()
    for variant in variants_of(patch)
]


@dataclass(frozen=True)
class Enriched:
    """A project to which all of its recipes were added."""

    variant: Variant
    path: Path
    tests: tuple[str, ...]  # those that the recipes have added
    printed: dict[str, str]


@pytest.fixture(scope="session", params=in_each_run(FIRST_AND_LAST, slow=VARIANTS))
def bare(
    request: pytest.FixtureRequest, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return bake_repository(template, tmp_path_factory.mktemp("bare"), request.param)


@pytest.fixture(
    scope="session",
    params=in_each_run(FIRST, slow=FIRST_AND_LAST),
)
def enriched(request: pytest.FixtureRequest, template: Path, workspace: Path) -> Enriched:
    variant: Variant = request.param

    def make(folder: Path) -> tuple[str, list[str], dict[str, str]]:
        path = bake_repository(template, folder, variant, with_lock=True)
        printed = {name: add(path, name) for name in names_in(path)}
        return str(path), added_tests(path), printed

    path, tests, printed = made_once(workspace / f"recipes-{variant.name}", make)
    return Enriched(variant, Path(path), tuple(tests), printed)


def add(project: Path, name: str) -> str:
    """Add a recipe as users do, and commit that; return what the command prints."""
    printed = run(project, "app", "recipe", "add", name)
    commit_all(project, f"Add {name}")
    return printed


def added_tests(project: Path, since: str = "") -> list[str]:
    """Return the tests that were added since a commit, otherwise the first one."""
    since = since or git(project, "rev-list", "--max-parents=0", "HEAD")
    names = git(project, "diff", "--name-only", "--diff-filter=A", since, "--", "tests")
    return [name for name in names.splitlines() if Path(name).name.startswith("test_")]


def test_each_recipe_fits_the_bare_project_and_can_be_taken_out(bare: Path) -> None:
    for patch in patches(bare / "docs" / "recipes"):
        text = patch.read_text(encoding="utf-8")
        assert apply_problem(bare, text) == "", patch.stem
        assert apply_problem(bare, text, "--reverse") == "", patch.stem
        assert git(bare, "status", "--porcelain") == "", patch.stem


def test_each_recipe_fits_beside_all_others(bare: Path) -> None:
    """Whatever the order is in which they are added."""
    texts = [patch.read_text(encoding="utf-8") for patch in patches(bare / "docs" / "recipes")]
    for last in texts:
        for text in [*(one for one in texts if one != last), last]:
            assert apply_problem(bare, text) == ""
        git(bare, "reset", "--quiet", "--hard")
        git(bare, "clean", "-d", "--force", "--quiet")


def test_recipes_are_those_of_the_variant(bare: Path, request: pytest.FixtureRequest) -> None:
    variant = request.node.callspec.params["bare"]
    wanted = {name_of(patch) for patch in patches() if variant in variants_of(patch)}

    assert set(names_in(bare)) == wanted


def test_recipes_are_added_one_after_the_other(enriched: Enriched) -> None:
    listed = run(enriched.path, "app", "recipes")

    assert set(enriched.printed) == set(names_in(enriched.path))
    assert listed.count("(added)") == len(enriched.printed), listed


@pytest.mark.parametrize("check", QUICK_CHECKS_FIRST)
def test_check_passes(enriched: Enriched, workspace: Path, check: tuple[str, ...]) -> None:
    run_check(enriched.path, workspace, *check)


def test_migrations_make_what_the_models_say(enriched: Enriched, database_server: str) -> None:
    migrate_and_back(enriched.path, database_server)


@pytest.mark.parametrize("enriched", in_each_run([], slow=FIRST), indirect=True)
def test_suite_passes(enriched: Enriched, record_property: Callable[[str, object], None]) -> None:
    record_property("suite", run_suite(enriched.path, *enriched.tests, *FAST_TESTS[:2]))


@pytest.mark.full
def test_whole_suite_passes(
    enriched: Enriched, record_property: Callable[[str, object], None]
) -> None:
    record_property("suite", run_suite(enriched.path))


@pytest.mark.full
@pytest.mark.parametrize(("patch", "variant"), EACH)
def test_recipe_alone_passes(
    patch: Path,
    variant: Variant,
    template: Path,
    workspace: Path,
    database_server: str,
    record_property: Callable[[str, object], None],
) -> None:
    project = bake_repository(template, workspace / f"{patch.stem}-{variant.name}", variant)
    add(project, name_of(patch))

    for check in CHECKS:
        run_check(project, workspace, *check)
    migrate_and_back(project, database_server)
    record_property("suite", run_suite(project, *added_tests(project), *FAST_TESTS, "tests/routes"))


@pytest.mark.parametrize("patch", patches(), ids=lambda patch: patch.stem)
def test_page_says_whether_the_recipe_changes_the_demo(patch: Path) -> None:
    page = patch.with_suffix(".md").read_text(encoding="utf-8")

    assert (NEEDS_DEMO in page.splitlines()) == changes_demo(patch.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "changed", in_each_run(ONE_OF_EACH[:1], slow=ONE_OF_EACH, of=CHANGED_DEMOS)
)
def test_each_recipe_fits_without_the_demo_or_says_that_it_changes_it(
    changed: ChangedDemo, template: Path, workspace: Path
) -> None:
    project = changed_once(changed, template, workspace)
    states = {
        line.split()[0]: line.rpartition(" (")[2].rstrip(")")
        for line in run(project, "app", "recipes").splitlines()
        if line.endswith(")")
    }

    why = "changes the demo, which was removed or renamed"
    assert states == {
        patch.stem: why if changes_demo(patch.read_text(encoding="utf-8")) else "fits"
        for patch in patches(project / "docs/recipes")
    }
    # The one of which git would apply the patch.
    with pytest.raises(AssertionError, match=f"Error: Nothing was changed: live-feed {why}"):
        run(project, "app", "recipe", "add", "live-feed")
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.full
@pytest.mark.parametrize("changed", CHANGED_DEMOS[::3], ids=lambda changed: changed.name)
def test_recipes_pass_without_the_demo(
    changed: ChangedDemo,
    template: Path,
    workspace: Path,
    database_server: str,
    record_property: Callable[[str, object], None],
) -> None:
    baked = changed_once(changed, template, workspace)
    project = workspace / f"recipes-{changed.name}"
    git(workspace, "clone", "--quiet", str(baked), str(project))  # which others use as it is
    before = git(project, "rev-parse", "HEAD")
    for patch in patches(project / "docs/recipes"):
        if not changes_demo(patch.read_text(encoding="utf-8")):
            add(project, patch.stem)

    for check in CHECKS:
        run_check(project, workspace, *check)
    migrate_and_back(project, database_server)
    record_property("suite", run_suite(project, *added_tests(project, before), *FAST_TESTS[:2]))


def test_patch_has_as_much_context_as_fits_all_variants(tmp_path: Path) -> None:
    project, same, other = (tmp_path / name for name in ("project", "same", "other"))
    for folder, first in ((project, "one"), (same, "one"), (other, "eins")):
        folder.mkdir()
        (folder / "a.txt").write_text(f"{first}\n\nthree\n\n", encoding="utf-8")
        (folder / "b.txt").write_text("one\n\n\n\nfive\n", encoding="utf-8")
        make_repository(folder)
    (project / "a.txt").write_text("one\n\nthree\nnew\n\n", encoding="utf-8")
    (project / "b.txt").write_text("one\n\n\nnew\n\nfive\n", encoding="utf-8")
    (project / "c.txt").write_text("new\n", encoding="utf-8")

    text = patch_of(project, {"same": same, "other": other})

    assert apply_problem(other, text) == ""
    assert (other / "a.txt").read_text(encoding="utf-8") == "eins\n\nthree\nnew\n\n"
    assert (other / "c.txt").read_text(encoding="utf-8") == "new\n"
    assert "\n one\n" not in text.partition("b.txt")[0]
    assert "\n one\n" in text.partition("b.txt")[2]
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.full
@pytest.mark.parametrize("patch", patches(), ids=lambda patch: patch.stem)
def test_refreshing_changes_nothing_while_the_patch_fits(patch: Path, tmp_path: Path) -> None:
    refreshed = refresh(patch, tmp_path)

    for variant in variants_of(patch):
        project = bake_repository(ROOT, tmp_path / f"again-{variant.name}", variant)
        assert apply_problem(project, refreshed, "--check") == ""
