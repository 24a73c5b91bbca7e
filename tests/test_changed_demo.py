"""The first step of most projects, before anything else is there: the demo is removed, or renamed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from baking import run, run_check, run_suite
from changed_demo import CHANGED_DEMOS, ONE_OF_EACH, REMOVED, RENAMED, ChangedDemo, changed_once
from parameters import in_each_run
from test_variants import QUICK_CHECKS_FIRST, migrate_and_back


@pytest.fixture(
    scope="session", params=in_each_run(REMOVED[:1], slow=ONE_OF_EACH, of=CHANGED_DEMOS)
)
def project(request: pytest.FixtureRequest, template: Path, workspace: Path) -> Path:
    changed: ChangedDemo = request.param
    return changed_once(changed, template, workspace)


@pytest.mark.parametrize("check", QUICK_CHECKS_FIRST)
def test_check_passes(project: Path, workspace: Path, check: tuple[str, ...]) -> None:
    run_check(project, workspace, *check)


def test_migrations_make_what_the_models_say(project: Path, database_server: str) -> None:
    migrate_and_back(project, database_server)


def test_documents_name_what_is_there(
    project: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("suite", run_suite(project, "tests/platform/test_documents.py"))


@pytest.mark.parametrize("changed", in_each_run([], slow=[RENAMED[2]], of=RENAMED))
def test_demo_is_removed_by_its_new_name(
    changed: ChangedDemo, template: Path, workspace: Path
) -> None:
    run(changed_once(changed, template, workspace), "app", "remove", "article", "--dry-run")


@pytest.mark.full
@pytest.mark.parametrize("project", in_each_run(REMOVED, of=REMOVED[::3]), indirect=True)
def test_suite_passes_without_the_demo(
    project: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("suite", run_suite(project))


@pytest.mark.full
@pytest.mark.parametrize("project", in_each_run(RENAMED, of=RENAMED[::3]), indirect=True)
def test_suite_passes_with_the_demo_under_another_name(
    project: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("suite", run_suite(project, "--ignore=tests/platform"))
