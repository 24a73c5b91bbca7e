"""`app recipes` and `app recipe`, on a copy of the project with a recipe of the test."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import main as main  # registers the commands
from app.cli.commands import CommandError
from app.cli.commands import commands as registered
from app.core.database.migrations import revisions
from app.core.env_file import PROJECT
from scaffold import commands, recipes
from scaffold.project import Project
from scaffold.records import DEMO, Record, read_record, record_name
from scaffold.revisions import head
from tests.scaffold.conftest import Disk, files_of

PAGE = "# Wombats\n\nThey dig.\n"
PATCH = '''\
diff --git a/.env.example b/.env.example
--- a/.env.example
+++ b/.env.example
@@ -1,2 +1,3 @@
 # First
+# WOMBATS_URL=
 # Last
diff --git a/alembic/versions/2026_11_29_0123456789ab_add_wombats.py b/alembic/versions/2026_11_29_0123456789ab_add_wombats.py
new file mode 100644
--- /dev/null
+++ b/alembic/versions/2026_11_29_0123456789ab_add_wombats.py
@@ -0,0 +1,10 @@
+"""Add wombats.
+
+Revision: 0123456789ab
+Follows: fedcba987654
+"""
+
+revision: str = "0123456789ab"
+down_revision: str | None = "fedcba987654"
+branch_labels = None
+depends_on = None
diff --git a/app/jobs/wombats.py b/app/jobs/wombats.py
new file mode 100644
--- /dev/null
+++ b/app/jobs/wombats.py
@@ -0,0 +1,2 @@
+DIG: Final = JobKind(Dig, _dig)
+FEED = JobKind(Feed, _feed, at_once=1)
diff --git a/app/models/marsupials/den.py b/app/models/marsupials/den.py
new file mode 100644
--- /dev/null
+++ b/app/models/marsupials/den.py
@@ -0,0 +1,4 @@
+class Den(Base):
+    __tablename__ = "dens"
+class DenVisit(Base):
+    __tablename__ = "den_visits"
diff --git a/app/models/wombat.py b/app/models/wombat.py
new file mode 100644
--- /dev/null
+++ b/app/models/wombat.py
@@ -0,0 +1,2 @@
+class Wombat(Base):
+    __tablename__ = "wombats"
diff --git a/app/routes/wombats.py b/app/routes/wombats.py
new file mode 100644
--- /dev/null
+++ b/app/routes/wombats.py
@@ -0,0 +1 @@
+router = APIRouter()
diff --git a/tests/test_wombats.py b/tests/test_wombats.py
new file mode 100644
--- /dev/null
+++ b/tests/test_wombats.py
@@ -0,0 +1 @@
+"""Tests."""
'''
REVISION = "alembic/versions/2026_11_29_0123456789ab_add_wombats.py"
RECORD = "scaffold/resources/wombat.json"
TEST = "tests/test_wombats.py"
IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")


def git(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, env=environment, check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Change")


@pytest.fixture
def project(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy with a recipe, committed."""
    monkeypatch.setattr(recipes, "PROJECT", checkout)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "app/jobs", checkout / "app/jobs", ignore=ignored)
    (checkout / RECORD).parent.mkdir(parents=True)
    record = Record("app new wombat", routers=("marsupials",), files={"app/*/wombats.py": None})
    (checkout / RECORD).write_text(record.text(), encoding="utf-8", newline="\n")
    folder = checkout / recipes.FOLDER
    folder.mkdir(parents=True)
    (folder / "wombats.md").write_text(PAGE, encoding="utf-8", newline="\n")
    (folder / "wombats.patch").write_text(PATCH, encoding="utf-8", newline="\n")
    (checkout / ".env.example").write_text("# First\n# Last\n", encoding="utf-8", newline="\n")
    (checkout / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    git(checkout, "init", "--quiet")
    commit(checkout)
    return checkout


def add(name: str = "wombats", *, dry_run: bool = False, reject: bool = False) -> list[str]:
    return list(recipes.add(name, dry_run=dry_run, reject=reject))


def remove(name: str = "wombats", *, dry_run: bool = False) -> list[str]:
    return list(recipes.remove(name, dry_run=dry_run, confirm=lambda _question: None))


def why_not() -> list[str]:
    """Return what is printed of a recipe that does not fit."""
    told: list[str] = []
    with pytest.raises(CommandError, match="does not fit"):
        told.extend(recipes.add("wombats", dry_run=False))
    return told


def test_recipe_is_added_behind_the_newest_revision(project: Path) -> None:
    newest = head(Project(project))

    told = "\n".join(add())

    assert head(Project(project)) == "0123456789ab"
    text = (project / REVISION).read_text(encoding="utf-8")
    assert f'down_revision: str | None = "{newest}"' in text
    assert f"Follows: {newest}" in text
    assert "WOMBATS_URL" in (project / ".env.example").read_text(encoding="utf-8")
    for line in (
        f"created  {REVISION}",
        "changed  .env.example",
        "Settings, described in .env.example: WOMBATS_URL",
        "uv run app migrate",
        f"uv run pytest {TEST}",
    ):
        assert line in told


def test_routers_models_and_kinds_of_jobs_are_listed(project: Path) -> None:
    add()

    jobs = (project / "app/jobs/__init__.py").read_text(encoding="utf-8")
    models = (project / "app/models/__init__.py").read_text(encoding="utf-8")
    routes = (project / "app/routes/__init__.py").read_text(encoding="utf-8")
    assert "        wombats.DIG,\n        wombats.FEED,\n" in jobs
    assert re.search(r"^from app\.jobs import .*\bwombats\b", jobs, re.MULTILINE)
    assert "from app.models.wombat import Wombat as Wombat\n" in models
    for name in ("Den", "DenVisit"):
        assert f"from app.models.marsupials.den import {name} as {name}\n" in models
    assert "    wombats.router,\n" in routes
    assert re.search(r"from app\.routes import [^.]*\bwombats\b", routes)
    assert list(read_record(Project(project), "wombat").routers) == ["marsupials", "wombats"]


@pytest.mark.parametrize("name", ["app/models/__init__.py", "app/routes/__init__.py"])
def test_recipe_fits_a_list_that_nobody_has_formatted(project: Path, name: str) -> None:
    text = (project / name).read_text(encoding="utf-8")
    (project / name).write_text(f"{text}MORE = ( 1,2 )\n", encoding="utf-8", newline="\n")
    commit(project)

    add()

    assert "MORE = (1, 2)\n" in (project / name).read_text(encoding="utf-8")


def test_patch_may_change_a_list_itself(project: Path) -> None:
    """As one that `git diff` has written does."""
    name = "app/models/__init__.py"
    text = (project / name).read_text(encoding="utf-8")
    wanted = f"{text}from app.models.wombat import Wombat as Wombat\n"
    old, new = text.splitlines(keepends=True), wanted.splitlines(keepends=True)
    diff = "".join(unified_diff(old, new, f"a/{name}", f"b/{name}"))
    with (project / recipes.FOLDER / "wombats.patch").open("a", encoding="utf-8") as patch:
        patch.write(f"diff --git a/{name} b/{name}\n{diff}")
    commit(project)

    add()

    assert (project / name).read_text(encoding="utf-8") == wanted


def test_removing_undoes_it(project: Path) -> None:
    before = files_of(project)
    add()
    commit(project)

    assert f"deleted  {REVISION}" in remove()

    assert files_of(project) == before


def status(project: Path) -> str:
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("reject", [False, True])
def test_file_that_cannot_be_replaced_keeps_all_others_as_they_are(
    project: Path, disk: Disk, *, reject: bool
) -> None:
    disk.refused = "app/routes/__init__.py"

    reason = r"^Nothing was changed: app/routes/__init__\.py: Operation not permitted$"
    with pytest.raises(CommandError, match=reason):
        add(reject=reject)

    assert status(project) == ""


@pytest.mark.parametrize("step", [2, 9])
def test_signal_while_a_recipe_is_added_or_removed_changes_nothing(
    project: Path, disk: Disk, ending: signal.Signals, step: int
) -> None:
    for act in (add, remove):
        disk.signals = {disk.steps + step: ending}

        with pytest.raises((SystemExit, KeyboardInterrupt)):
            act()

        assert status(project) == ""
        if act is add:
            add()
            commit(project)


def test_folders_that_a_recipe_has_created_are_deleted_with_it(project: Path) -> None:
    add()
    assert (project / "app/models/marsupials/den.py").exists()
    commit(project)

    remove()

    assert not (project / "app/models/marsupials").exists()
    assert (project / "app/models").exists()


def test_index_of_git_stays_as_it_is(project: Path) -> None:
    add()

    assert " M .env.example\n" in status(project)
    assert f"?? {TEST.partition('/')[0]}/\n" in status(project)


@pytest.mark.parametrize("attributes", ["* text=auto eol=crlf\n", ""])
def test_lines_of_a_checkout_keep_their_ends(project: Path, attributes: str) -> None:
    """As Windows has it, by attributes or by the setting of git."""
    if attributes:
        (project / ".gitattributes").write_text(attributes, encoding="utf-8", newline="\n")
        commit(project)
    else:
        git(project, "config", "core.autocrlf", "true")
    for name in (".env.example", "app/models/__init__.py"):
        (project / name).unlink()
        git(project, "checkout", "--quiet", "--", name)
        assert b"\r\n" in (project / name).read_bytes()

    add()

    for name in (".env.example", "app/models/__init__.py", TEST):
        content = (project / name).read_bytes()
        assert content.count(b"\n") == content.count(b"\r\n"), name
    commit(project)
    remove()
    assert (project / ".env.example").read_bytes() == b"# First\r\n# Last\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_patch_may_rename_a_file_and_make_it_executable(project: Path) -> None:
    (project / "dig").write_text("#!/bin/sh\n", encoding="utf-8", newline="\n")
    with (project / recipes.FOLDER / "wombats.patch").open("a", encoding="utf-8") as patch:
        patch.write(
            "diff --git a/dig b/burrow\nold mode 100644\nnew mode 100755\n"
            "similarity index 100%\nrename from dig\nrename to burrow\n"
        )
    commit(project)

    add()

    assert not (project / "dig").exists()
    assert (project / "burrow").stat().st_mode & 0o111
    commit(project)
    remove()
    assert not (project / "dig").stat().st_mode & 0o111


def test_removing_asks_whether_databases_are_ready(project: Path) -> None:
    newest = head(Project(project))
    add()
    commit(project)
    questions: list[str] = []

    list(recipes.remove("wombats", dry_run=False, confirm=questions.append))

    assert questions == [f"Have all databases run `uv run alembic downgrade {newest}`?"]


def test_dry_run_shows_the_changes_and_makes_none(project: Path) -> None:
    before = files_of(project)

    (diff,) = add(dry_run=True)

    assert "+# WOMBATS_URL=" in diff
    assert "fedcba987654" not in diff
    assert files_of(project) == before
    add()
    commit(project)
    before = files_of(project)
    remove(dry_run=True)
    assert files_of(project) == before


def test_list_says_what_was_added(project: Path) -> None:
    assert next(recipes.recipes()) == "wombats  Wombats (fits)"
    add()
    assert next(recipes.recipes()) == "wombats  Wombats (added)"
    (project / TEST).write_text("", encoding="utf-8")
    assert next(recipes.recipes()) == "wombats  Wombats (added, and edited since)"
    (project / REVISION).unlink()
    assert next(recipes.recipes()) == "wombats  Wombats (does not fit)"


def test_page_that_introduces_a_folder_of_recipes_is_none(project: Path) -> None:
    (project / recipes.FOLDER / "README.md").write_text("# Ours\n", encoding="utf-8")

    assert [*recipes.recipes_of(Project(project))] == ["wombats"]


def test_list_goes_on_after_a_recipe_whose_router_cannot_have_its_name(project: Path) -> None:
    routes = project / "app/routes/__init__.py"
    text = routes.read_text(encoding="utf-8")
    routes.write_text(f"from app.routes.inner import wombats\n{text}", encoding="utf-8")
    commit(project)

    assert "wombats  Wombats (does not fit)" in list(recipes.recipes())
    with pytest.raises(CommandError, match="Choose another name for wombats"):
        add()


@pytest.mark.parametrize(
    ("files", "is_there"),
    [(None, False), ({"app/models/*.py": "digest"}, False), ({"app/models/*.py": None}, True)],
    ids=["removed", "another one of its name", "as it was baked"],
)
def test_recipe_that_changes_the_demo_is_refused_without_it(
    project: Path, files: dict[str, str | None] | None, *, is_there: bool
) -> None:
    if files:
        record = Record(f"app new {DEMO}", files=files)
        (project / record_name(DEMO)).write_text(record.text(), encoding="utf-8", newline="\n")
    page = f"# Wombats\n\n| | |\n|---|---|\n{recipes.NEEDS_DEMO}\n| packages | none |\n"
    (project / recipes.FOLDER / "wombats.md").write_text(page, encoding="utf-8", newline="\n")
    commit(project)
    before = files_of(project)

    if is_there:
        assert next(recipes.recipes()) == "wombats  Wombats (fits)"
        assert f"created  {TEST}" in add()
        return

    why = "changes the demo, which was removed or renamed"
    assert next(recipes.recipes()) == f"wombats  Wombats ({why})"
    for reject in (False, True):
        with pytest.raises(CommandError, match=f"Nothing was changed: wombats {why}"):
            add(reject=reject)
    assert files_of(project) == before


def test_demo_is_not_removed_while_a_recipe_has_changed_it(project: Path) -> None:
    record = Record(f"app new {DEMO}", files={"app/models/*.py": None})
    (project / record_name(DEMO)).write_text(record.text(), encoding="utf-8", newline="\n")
    page = f"# Wombats\n\n| | |\n|---|---|\n{recipes.NEEDS_DEMO}\n| packages | none |\n"
    (project / recipes.FOLDER / "wombats.md").write_text(page, encoding="utf-8", newline="\n")
    assert recipes.recipes_in_demo(Project(project)) == []
    commit(project)
    add()
    commit(project)
    before = files_of(project)

    told: list[str] = []
    lines = commands.remove(DEMO, drop_table=False, dry_run=False, confirm=lambda _: None)
    with pytest.raises(CommandError, match="wombats would be left without it"):
        told.extend(lines)
    assert told[-1] == "  uv run app recipe remove wombats"
    assert files_of(project) == before


def edit(project: Path) -> None:
    (project / ".env.example").write_text("# First\n# Second\n# Last\n", encoding="utf-8")
    commit(project)


def clash(project: Path) -> None:
    (project / TEST).parent.mkdir()
    (project / TEST).write_text("", encoding="utf-8")
    commit(project)


def delete(project: Path) -> None:
    (project / ".env.example").unlink()
    commit(project)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (edit, ".env.example has been edited where it would change, about line 1:\n"),
        (clash, f"{TEST} is there already"),
        (delete, ".env.example is missing"),
    ],
    ids=["edited", "clash", "missing"],
)
def test_recipe_that_does_not_fit_changes_nothing_and_says_why(
    project: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(project)
    before = files_of(project)

    assert any(line.strip().startswith(reason) for line in why_not())
    assert files_of(project) == before


def test_what_fits_can_be_applied_alone(project: Path) -> None:
    edit(project)

    told = add(reject=True)

    assert "rejected .env.example.rej" in told
    assert "+# WOMBATS_URL=" in (project / ".env.example.rej").read_text(encoding="utf-8")
    assert (project / REVISION).exists()


def test_files_that_are_left_alone_are_named(project: Path) -> None:
    clash(project)
    delete(project)

    told = add(reject=True)

    assert f"skipped  {TEST}, which is there already" in told
    assert "skipped  .env.example, which is missing" in told
    assert f"created  {TEST}" not in told
    assert (project / TEST).read_text(encoding="utf-8") == ""
    assert (project / REVISION).exists()


def test_uncommitted_changes_are_in_the_way(project: Path) -> None:
    (project / "untracked").write_text("", encoding="utf-8")
    (project / ".env.example").write_text("# First\n# Last\n# More\n", encoding="utf-8")
    before = files_of(project)

    with pytest.raises(CommandError, match=r"Commit or stash your changes first: \.env\.example$"):
        add()

    assert files_of(project) == before


def test_lock_that_uv_has_changed_is_not_in_the_way(project: Path) -> None:
    (project / "uv.lock").write_text("", encoding="utf-8")
    commit(project)
    (project / "uv.lock").write_text("version = 1\n", encoding="utf-8")

    add()

    assert (project / REVISION).exists()


def test_folder_without_a_repository_is_refused(project: Path) -> None:
    (project / ".git").rename(project / "git")

    with pytest.raises(CommandError, match=r"not in a git repository.*`git init"):
        add()


def test_project_that_was_never_committed_is_refused(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")

    with pytest.raises(CommandError, match="was never committed, so the change could not be"):
        add()


@pytest.mark.parametrize("folder", ["service", "tests"])  # the project has one of this name, too
def test_project_in_a_folder_of_its_repository_is_changed(
    project: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    service = project / folder
    service.mkdir()
    for path in [path for path in project.iterdir() if path not in {service, project / ".git"}]:
        path.rename(service / path.name)
    commit(project)
    monkeypatch.setattr(recipes, "PROJECT", service)

    clash(service)
    assert f"  {TEST} is there already" in why_not()

    (service / TEST).unlink()
    commit(project)
    add()
    assert (service / REVISION).exists()


def test_second_time_is_refused(project: Path) -> None:
    add()
    commit(project)

    with pytest.raises(CommandError, match="added already"):
        add()


def test_second_time_is_refused_if_it_was_edited(project: Path) -> None:
    add()
    (project / TEST).unlink()
    commit(project)
    before = files_of(project)

    for reject in (False, True):
        with pytest.raises(
            CommandError, match=r"added already, and has been edited\. .* by hand .*wombats\.patch"
        ):
            add(reject=reject)

    assert files_of(project) == before


def drop_revision(project: Path) -> None:
    """Take the revision out of the patch."""
    patch = project / recipes.FOLDER / "wombats.patch"
    before, after = PATCH.index("diff --git a/alembic"), PATCH.index("diff --git a/app/jobs")
    patch.write_text(PATCH[:before] + PATCH[after:], encoding="utf-8", newline="\n")
    commit(project)


def test_files_of_ones_own_are_not_taken_for_an_added_recipe(project: Path) -> None:
    drop_revision(project)
    for name in recipes.recipes_of(Project(project))["wombats"].patch.created:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("MINE = 1\n", encoding="utf-8")
    commit(project)

    assert next(recipes.recipes()) == "wombats  Wombats (does not fit)"
    assert f"  {TEST} is there already" in why_not()


@pytest.mark.filterwarnings("ignore:Revision .* is not present")
def test_list_goes_on_if_migrations_do_not_follow_each_other(project: Path) -> None:
    first = next((project / "alembic/versions").glob(f"*_{revisions()[0]}_*.py"))
    first.unlink()

    assert next(recipes.recipes()) == "wombats  Wombats (does not fit)"


def test_second_time_is_refused_if_it_has_no_revision_and_was_edited(project: Path) -> None:
    drop_revision(project)
    add()
    (project / TEST).write_text("", encoding="utf-8")
    commit(project)

    with pytest.raises(
        CommandError, match=r"added already, and has been edited\. .* by hand .*wombats\.patch"
    ):
        add()


@pytest.mark.parametrize("name", ["wombat", "wobmats", "bats"])
def test_unknown_name_brings_a_suggestion(project: Path, name: str) -> None:
    with pytest.raises(CommandError, match=rf"no recipe {name}\. Do you mean wombats\?"):
        add(name)


def test_name_that_resembles_none_brings_the_command_that_lists_them(project: Path) -> None:
    with pytest.raises(CommandError, match=r"no recipe matt\. `uv run app recipes` lists them"):
        add("matt")


def test_recipe_that_a_later_revision_follows_is_kept(project: Path) -> None:
    add()
    later = (project / REVISION).read_text(encoding="utf-8")
    later = later.replace(head(Project(project)), "aaaaaaaaaaaa")
    first = later.index('None = "') + len('None = "')
    later = f"{later[:first]}0123456789ab{later[first + 12 :]}"
    (project / "alembic/versions/later.py").write_text(later, encoding="utf-8")
    commit(project)

    with pytest.raises(CommandError, match="Other revisions follow 0123456789ab"):
        remove()


def test_recipe_that_was_edited_is_not_removed(project: Path) -> None:
    add()
    (project / TEST).write_text('"""Mine."""\n', encoding="utf-8")
    commit(project)
    before = files_of(project)
    told: list[str] = []

    with pytest.raises(CommandError, match="is not there, or has been edited"):
        told.extend(recipes.remove("wombats", dry_run=False, confirm=lambda _question: None))

    assert any(line.startswith(f"  {TEST} has been edited") for line in told)
    assert "Undo the edits, or take out by hand what docs/recipes/wombats.patch adds." in told
    assert not any("recipe add" in line for line in told)
    assert files_of(project) == before


def test_commands_print_what_is_done(project: Path) -> None:
    runner = CliRunner()

    assert "wombats" in runner.invoke(registered, ["recipes"]).stdout
    assert TEST in runner.invoke(registered, ["recipe", "add", "wombats"]).stdout
    commit(project)
    refused = runner.invoke(registered, ["recipe", "remove", "wombats"], input="n\n")
    assert refused.exit_code == 1
    assert TEST in runner.invoke(registered, ["recipe", "remove", "wombats", "--yes"]).stdout


RECIPES = recipes.recipes_of(Project(PROJECT))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_page_says_what_the_patch_adds(name: str) -> None:
    """A table names packages, settings and migrations, and each part that a reader needs is there."""
    recipe = RECIPES[name]
    text = (PROJECT / recipe.page).read_text(encoding="utf-8")
    table: dict[str, str] = dict(
        re.findall(r"^\| (packages|settings|migrations) \| (.+) \|$", text, re.MULTILINE)
    )

    def named(row: str) -> list[str]:
        return table[row].replace("`", "").split(", ")

    assert named("packages") == (recipe.packages or ["none"])
    assert named("settings") == (recipe.settings or ["none"])
    assert (table["migrations"] != "none") == bool(recipe.revisions)
    for part in ("What it gives", "What it costs", "When not to take it", "Take it out"):
        assert f"\n## {part}\n" in text


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_page_names_files_that_exist_or_that_the_patch_adds(name: str) -> None:
    recipe = RECIPES[name]
    text = (PROJECT / recipe.page).read_text(encoding="utf-8")
    named = {part for part in text.split("`")[1::2] if part.startswith(("app/", "tests/"))}

    assert {one for one in named - {*recipe.patch.files} if not (PROJECT / one).exists()} == set()


def test_each_patch_has_a_page() -> None:
    patches = sorted(path.stem for path in (PROJECT / recipes.FOLDER).rglob("*.patch"))

    assert patches == sorted(RECIPES)
