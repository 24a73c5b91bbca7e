"""A resource lives in its own files: some are added, by hand and by `app new`, and the demo is taken out."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from baking import bake_repository, made_once, run, run_check, run_suite
from parameters import FIRST, LAST, in_each_run
from postgres import scratch_database
from project_edits import ARTICLES, LISTING, change
from recipes import NEEDS_DEMO
from repositories import commit_all, git
from test_variants import QUICK_CHECKS_FIRST, SETTINGS, migrate_and_back
from variants import Variant

# What is typed after `app new`: every type, mark and relation.
RESOURCES = (
    "tag name:str:40! label:text:300^ related:many:tag",
    "category code:str:2! title:str:80^ parent:category?",
    (
        "product name:str:100! sku:str:12^ text:text:500 stock:int^=0 weight:decimal:12:8^ size_in_bytes:bigint?^ price:decimal:10:2^ "
        "share:decimal:3:3=0.5 rating:float^=0.5 is_public:bool^=false released_on:date^ listed_at:datetime^=now "
        "withdrawn_at:datetime? ref_key:uuid^=random external_key:uuid! options:json={} extra:json? "
        "status:enum:draft,in-review,gone^=draft kind:enum:EUR,another? place:enum:first,last?! note:str:20=none slogan:text:600! "
        "height:float! category:category shelf:category? "
        "brand:category:cascade author:user reviewer:user? tags:many:tag likers:many:user parts:many:product"
    ),
    "article_comment article:article author:user text:text",
    "user_profile user:user! biography:text? followed:many:user_profile",
    "TagUse tag:tag:restrict article:article:cascade?",
)
LAYERS = ("routes", "services", "repositories")
# Not those of the HTTP method, as in `client.post`.
NAMES_OF_POSTS = re.compile(
    r"\b(a post|the post|Post|Posts|posts)\b|(\b|_)post_(id|repo|service)\b|users/import"
)


@dataclass(frozen=True)
class Changed:
    """A project to which resources were added, and from which posts were taken out."""

    variant: Variant
    path: Path
    added: str
    added_elsewhere: int
    taken_out: str


@pytest.fixture(
    scope="session",
    params=in_each_run(LAST, slow=FIRST),
)
def changed(
    request: pytest.FixtureRequest, template: Path, workspace: Path, database_server: str
) -> Changed:
    variant: Variant = request.param

    def make(output_dir: Path) -> tuple[str, str, int, str]:
        return add_and_take_out(template, output_dir, variant, database_server)

    path, *figures = made_once(workspace / f"own-{variant.name}", make)
    return Changed(variant, Path(path), *figures)


def add_and_take_out(
    template: Path, output_dir: Path, variant: Variant, database_server: str
) -> tuple[str, str, int, str]:
    path = bake_repository(template, output_dir, variant, with_lock=True)
    add_articles(path, database_server)
    lines = [line.split("\t") for line in git(path, "diff", "--cached", "--numstat").splitlines()]
    existing = set(git(path, "ls-tree", "-r", "--name-only", "HEAD").splitlines())
    added_elsewhere = sum(int(added) for added, _, name in lines if name in existing)
    added = git(path, "diff", "--cached", "--stat")
    commit_all(path, "Add articles")
    for definition in RESOURCES:
        run(path, "app", "new", *definition.split())
    commit_all(path, "Add resources")
    run(path, "app", "remove", "post")
    git(path, "add", "--all")
    return str(path), added, added_elsewhere, git(path, "diff", "--cached", "--stat")


def add_articles(project: Path, database_server: str) -> None:
    """Add a resource that was written by hand."""
    shutil.copytree(ARTICLES, project, dirs_exist_ok=True)
    change(project, LISTING)
    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project, "app", "migrate", env=env)
        run(project, "app", "revision", "-m", "add articles table", env=env)
    git(project, "add", "--all")


def test_own_resource_changes_three_lines_elsewhere(
    changed: Changed, record_property: Callable[[str, object], None]
) -> None:
    record_property("figures", f"adding articles:\n{changed.added}")

    assert changed.added_elsewhere <= 3, changed.added


def test_posts_are_named_nowhere_but_in_their_own_files_and_the_lists(
    changed: Changed, record_property: Callable[[str, object], None]
) -> None:
    record_property("figures", f"taking posts out:\n{changed.taken_out}")
    sources = [
        path
        for name in ("app", "tests", "alembic")
        for path in changed.path.glob(f"{name}/**/*.py")
    ]
    named = [
        f"{path.relative_to(changed.path)}: {line.strip()}"
        for path in sources
        for line in path.read_text(encoding="utf-8").splitlines()
        if NAMES_OF_POSTS.search(line)
    ]

    assert not named, "\n".join(named)


def test_documents_name_no_posts(changed: Changed) -> None:
    # Decisions may look back, and a recipe for the demo says that it needs it.
    named = [
        f"{path.relative_to(changed.path)}: {line}"
        for path in [*changed.path.glob("*.md"), *changed.path.glob("docs/**/*.md")]
        if path.parent.name != "decisions" and NEEDS_DEMO not in path.read_text(encoding="utf-8")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bposts\b|app remove post|MAX_IMPORT", line)
    ]

    assert not named, "\n".join(named)


@pytest.mark.parametrize("check", QUICK_CHECKS_FIRST)
def test_check_passes(changed: Changed, workspace: Path, check: tuple[str, ...]) -> None:
    run_check(changed.path, workspace, *check)


def test_migrations_make_what_the_models_say(changed: Changed, database_server: str) -> None:
    migrate_and_back(changed.path, database_server)


# Files that name no resource, which a test above proves. They take most of a suite's time.
OF_NO_RESOURCE = (
    "tests/platform", *(f"tests/{layer}/auth" for layer in LAYERS), "tests/cli/auth",
    "tests/cli/test_dev.py", "tests/cli/test_doctor.py", "tests/cli/test_embedded_postgres.py",
    "tests/cli/test_main.py", "tests/cli/test_users.py",
    "tests/platform/database/test_autogenerate.py",
)  # fmt: skip


# What takes most of the rest of the time.
LONG = (
    "tests/cli", "tests/migrations/test_revisions.py", "tests/scaffold", "tests/test_contract.py",
)  # fmt: skip
SUITE_OF = pytest.mark.parametrize("changed", in_each_run(LAST, slow=FIRST), indirect=True)


@SUITE_OF
def test_suite_passes(changed: Changed, record_property: Callable[[str, object], None]) -> None:
    ignored = [f"--ignore={path}" for path in (*OF_NO_RESOURCE, *LONG)]
    record_property("suite", run_suite(changed.path, *ignored))


@pytest.mark.slow
@SUITE_OF
def test_long_tests_pass(changed: Changed, record_property: Callable[[str, object], None]) -> None:
    ignored = [f"--ignore={path}" for path in OF_NO_RESOURCE]
    record_property("suite", run_suite(changed.path, *LONG, *ignored))


@pytest.mark.parametrize("changed", in_each_run([], slow=LAST), indirect=True)
def test_suite_of_what_names_no_resource_passes(
    changed: Changed, record_property: Callable[[str, object], None]
) -> None:
    paths = [path for path in OF_NO_RESOURCE if (changed.path / path).exists()]
    record_property("suite", run_suite(changed.path, *paths))
