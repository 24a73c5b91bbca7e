"""Features are taken out of a project, as docs/howto/features.md says, and leave nothing behind."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from baking import ROOT, TEMPLATE_FOLDER, bake_repository, made_once, run_check, run_suite
from documented_edits import blocks_in
from feature_of_keys import IDEMPOTENCY
from feature_of_registration import REGISTRATION
from feature_of_sessions import SESSIONS
from feature_of_versions import VERSIONS
from postgres import scratch_database
from repositories import git
from taking_out import Feature, section, take_out, write_migration
from test_howtos import carry_out
from test_variants import CHECKS, SAME_WITHOUT_AUTH, SETTINGS, migrate_and_back
from variants import VARIANTS, Variant

# Each with the name of its migration.
CASES = {
    "idempotency": (IDEMPOTENCY, "drop idempotency keys"),
    "versions": (VERSIONS, "drop versions"),
    "registration": (REGISTRATION, "drop invitations"),
    "sessions": (SESSIONS, "drop sessions"),
}
OF_AUTH = ("registration", "sessions")
WITH_AUTH, WITHOUT_AUTH = VARIANTS[:2]


def variants_of(name: str) -> list[Variant]:
    return [WITH_AUTH] if name in OF_AUTH else [WITH_AUTH, WITHOUT_AUTH]


# "In the routes", "in the services", "in the repositories".
ALIKE = ("app/routes/", "app/services/", "app/repositories/")


@dataclass(frozen=True)
class Without:
    """A project from which a feature was taken out, and the page as it was before."""

    path: Path
    feature: Feature
    page: str
    migration: str


@pytest.fixture(
    scope="session",
    params=[
        # Without auth there is less that does not depend on the feature.
        pytest.param(
            (name, variant),
            id=f"{name}-{variant.name}",
            marks=pytest.mark.slow
            if (name, variant) == ("versions", WITHOUT_AUTH)
            else pytest.mark.full,
        )
        for name in CASES
        for variant in variants_of(name)
    ],
)
def without(
    request: pytest.FixtureRequest, template: Path, workspace: Path, database_server: str
) -> Without:
    name, variant = request.param
    feature, message = CASES[name]

    def make(output_dir: Path) -> tuple[str, str, str]:
        return bake_without(template, output_dir, variant, feature, message, database_server)

    path, page, migration = made_once(workspace / f"no-{name}-{variant.name}", make)
    return Without(Path(path), feature, page, migration)


def bake_without(
    template: Path,
    output_dir: Path,
    variant: Variant,
    feature: Feature,
    message: str,
    database_server: str,
) -> tuple[str, str, str]:
    path = bake_repository(template, output_dir, variant, with_lock=True)
    page = section(path / "docs/howto/features.md", feature.heading)
    take_out(path, feature, use_auth=variant.use_auth)
    blocks = blocks_in(page)
    with scratch_database(database_server) as url:
        if any(block.language == "diff" for block in blocks):
            carry_out(path, blocks, SETTINGS | {"DATABASE_URL": url})
        else:
            write_migration(path, message, url, SETTINGS)
    (migration,) = path.glob(f"alembic/versions/*_{message.replace(' ', '_')}.py")
    return str(path), page, migration.name


@pytest.mark.parametrize("name", CASES)
def test_feature_can_be_taken_out_of_the_code_as_it_is(
    template: Path, tmp_path: Path, name: str
) -> None:
    """In each run, which leaves the suites without a feature to `-m full`."""
    feature, _ = CASES[name]
    for variant in variants_of(name):
        path = bake_repository(template, tmp_path / variant.name, variant)
        take_out(path, feature, use_auth=variant.use_auth)


def test_version_of_each_table_comes_by_a_revision_of_its_own() -> None:
    """The page says to look there for what to drop."""
    revisions = (ROOT / TEMPLATE_FOLDER / "alembic" / "versions").glob("*.py")
    names = [path.name for path in revisions if '"version"' in path.read_text(encoding="utf-8")]

    assert len(names) > 1
    assert [name for name in names if "_add_version_of_" not in name] == []


@pytest.mark.parametrize("check", CHECKS, ids=" ".join)
def test_check_passes(without: Without, workspace: Path, check: tuple[str, ...]) -> None:
    run_check(without.path, workspace, *check)


def test_migrations_make_what_the_models_say(without: Without, database_server: str) -> None:
    migrate_and_back(without.path, database_server)


def test_page_names_each_file_that_is_changed(
    without: Without, record_property: Callable[[str, object], None]
) -> None:
    git(without.path, "add", "--all")
    record_property("figures", git(without.path, "diff", "--cached", "--stat"))
    changed = git(without.path, "diff", "--cached", "--name-only", "--no-renames").splitlines()
    expected = {f"alembic/versions/{without.migration}", "docs/howto/features.md", "uv.lock"}
    # A folder stands for those of its modules that are alike.
    named = [*re.findall("`([^`]+)`", without.page), *ALIKE]

    assert [
        name
        for name in changed
        if name not in expected
        and not any(name == one or (one.endswith("/") and name.startswith(one)) for one in named)
    ] == []


def test_layers_endpoints_and_documents_are_as_stated(without: Without) -> None:
    names = (
        "test_architecture.py",
        "test_endpoints.py",
        "platform/test_documented_commands.py",
        "platform/test_documents.py",
        "platform/test_patterns.py",
    )
    run_suite(
        without.path, *(f"tests/{name}" for name in names), "tests/migrations/test_revisions.py"
    )


# They depend on no feature, and take most of a suite's time.
OF_NO_FEATURE = (
    *SAME_WITHOUT_AUTH, "tests/cli/test_dev.py", "tests/cli/test_embedded_postgres.py",
    "tests/platform/database/test_autogenerate.py", "tests/platform/observability", "tests/platform/test_kubernetes.py",
    "tests/platform/test_server.py", "tests/test_contract.py",
)  # fmt: skip


@pytest.mark.full
def test_suite_passes(without: Without, record_property: Callable[[str, object], None]) -> None:
    ignored = [f"--ignore={path}" for path in OF_NO_FEATURE]
    record_property("suite", run_suite(without.path, *ignored))


@pytest.mark.full
def test_suite_of_what_depends_on_no_feature_passes(
    without: Without, record_property: Callable[[str, object], None]
) -> None:
    record_property("suite", run_suite(without.path, *OF_NO_FEATURE))
