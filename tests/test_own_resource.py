"""A resource lives in its own files: one is added by three lines elsewhere, and the demo's is taken out."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from baking import bake, made_once, run, run_check, run_suite
from postgres import scratch_database
from project_edits import ARTICLES, LISTING, Edits, change
from repositories import commit_all, git, make_repository
from test_variants import CHECKS, SETTINGS
from variants import VARIANTS, Variant

# Posts, and the import of users with their posts.
POSTS = (
    "app/*/post.py", "app/*/post_*.py", "app/*/posts.py", "app/*/user_import*.py", "app/cli/demo_posts.py",
    "tests/post_factory.py", "tests/*/test_post_*.py", "tests/*/test_posts.py", "tests/*/auth/test_posts.py",
    "tests/*/test_user_import.py",
    "tests/cli/test_demo_posts.py", "alembic/versions/*_add_posts_table.py",
    "alembic/versions/*_of_posts.py",
)  # fmt: skip
UNLISTING: Edits = {
    "app/models/__init__.py": (("from app.models.post import Post as Post\n", ""),),
    "app/routes/__init__.py": (
        (" posts, user_import,", ""),
        ("    posts.router,\n", ""),
        ("    user_import.router,\n", ""),
    ),
    "app/jobs/__init__.py": (
        ("import accounts, maintenance, posts", "import accounts, maintenance"),
        ("        posts.ANNOUNCE,\n", ""),
    ),
    "app/cli/demo_data.py": (
        ("from app.cli import demo_posts\n", ""),
        ('{"posts": demo_posts.write}', "{}"),
    ),
}
LAYERS = ("routes", "services", "repositories")
# Not those of the HTTP method, as in `client.post`.
NAMES_OF_POSTS = re.compile(
    r"\b(a post|the post|Post|Posts|posts)\b|(\b|_)post_(id|repo|service)\b|users/import"
)


@dataclass(frozen=True)
class Changed:
    """A project to which articles were added, and from which posts were taken out."""

    variant: Variant
    path: Path
    added: str
    added_elsewhere: int
    taken_out: str


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(variant, id=variant.name)
        for variant in (VARIANTS[0], VARIANTS[-1])  # between them, every answer
    ],
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
    path = bake(template, output_dir, db_driver=variant.db_driver, use_auth=variant.use_auth)
    run(path, "python", "-V")  # which writes uv.lock
    make_repository(path)
    add_articles(path, database_server)
    lines = [line.split("\t") for line in git(path, "diff", "--cached", "--numstat").splitlines()]
    existing = set(git(path, "ls-tree", "-r", "--name-only", "HEAD").splitlines())
    added_elsewhere = sum(int(added) for added, _, name in lines if name in existing)
    added = git(path, "diff", "--cached", "--stat")
    commit_all(path, "Add articles")
    take_posts_out(path)
    return str(path), added, added_elsewhere, git(path, "diff", "--cached", "--stat")


def add_articles(project: Path, database_server: str) -> None:
    shutil.copytree(ARTICLES, project, dirs_exist_ok=True)
    change(project, LISTING)
    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project, "app", "migrate", env=env)
        run(project, "alembic", "revision", "--autogenerate", "-m", "add articles table", env=env)
    git(project, "add", "--all")


def take_posts_out(project: Path) -> None:
    """Delete posts as from a project that has run nowhere: else a migration would drop the table."""
    followed: dict[str, str] = {}
    for path in [path for pattern in POSTS for path in project.glob(pattern)]:
        if path.parent.name == "versions":
            revision, follows = (
                re.search(rf'^{name}\b.* = "(\w+)"', path.read_text("utf-8"), re.MULTILINE)
                for name in ("revision", "down_revision")
            )
            assert revision
            assert follows
            followed[revision[1]] = follows[1]
        path.unlink()
    # Python tells a changed file from its bytecode by the second of the change and the size.
    shutil.rmtree(project / "alembic/versions/__pycache__", ignore_errors=True)
    for path in project.glob("alembic/versions/*.py"):
        text = path.read_text(encoding="utf-8")
        for removed, follower in followed.items():
            text = text.replace(removed, follower)
        path.write_text(text, encoding="utf-8")
    change(project, UNLISTING)
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


@pytest.mark.parametrize("check", CHECKS, ids=" ".join)
def test_check_passes(changed: Changed, workspace: Path, check: tuple[str, ...]) -> None:
    run_check(changed.path, workspace, *check)


# Files that name no resource, which a test above proves. They take most of a suite's time.
OF_NO_RESOURCE = (
    "tests/platform", *(f"tests/{layer}/auth" for layer in LAYERS), "tests/cli/auth",
    "tests/cli/test_dev.py", "tests/cli/test_doctor.py", "tests/cli/test_embedded_postgres.py",
    "tests/cli/test_users.py",
    "tests/migrations/test_autogenerate.py",
)  # fmt: skip


def test_suite_passes(changed: Changed, record_property: Callable[[str, object], None]) -> None:
    ignored = [f"--ignore={path}" for path in OF_NO_RESOURCE]
    record_property("suite", run_suite(changed.path, *ignored))


@pytest.mark.full
def test_suite_of_what_names_no_resource_passes(
    changed: Changed, record_property: Callable[[str, object], None]
) -> None:
    paths = [path for path in OF_NO_RESOURCE if (changed.path / path).exists()]
    record_property("suite", run_suite(changed.path, *paths))
