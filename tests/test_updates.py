"""`cruft update` takes a project, edited since it was baked from an older template, to the template as it is."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from baking import (
    ROOT,
    TEMPLATE_FOLDER,
    bake_repository,
    copy_template,
    extract_template,
    made_once,
    run,
    run_suite,
    write_settings,
)
from parameters import FIRST, in_each_run
from processes import output_of
from project_edits import (
    CHANGES_OF_0_1,
    CHANGES_OF_WHAT_WENT,
    Edits,
    change,
    copy_story,
    edit,
    heads,
    write_story,
)
from releases import PROMISED, previous_release, releases, version_number
from repositories import IDENTITY, commit_all, git, make_repository
from terminal import Terminal, lines_of
from variants import VARIANTS, Variant

# Each bakes half of the variants: tests/test_bakes.py proves that both bake the same.
MAKERS = dict(zip(VARIANTS, ("cruft", "cookiecutter") * 2, strict=True))
VARIANT = pytest.mark.parametrize("variant", in_each_run(FIRST, slow=VARIANTS))
# A comment in app/main.py.
LINE = "# A redirect from /users/ to /users would cost clients a second request.\n"
OF_ARTICLES = (
    "tests/routes/test_articles.py",
    "tests/test_architecture.py",
    "tests/test_endpoints.py",
)
OF_RESOURCES = ("tests/routes/test_stories.py", *OF_ARTICLES)
QUICK_CHECKS = (("ruff", "check"), ("ruff", "format", "--check"), ("lint-imports",))


@dataclass(frozen=True)
class History:
    """A repository with two commits: an older template, and the template as it is."""

    repository: Path
    old: str
    new: str


@dataclass(frozen=True)
class Update:
    """What an update has made of a project: what it printed, and the files to be resolved."""

    project: Path
    printed: str
    conflicts: list[str]

    def __str__(self) -> str:
        return f"{len(self.conflicts)} conflicts: {', '.join(sorted(self.conflicts))}"


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """From the previous release."""
    return history_from(previous_release(ROOT), tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="session")
def history_since_0_1(tmp_path_factory: pytest.TempPathFactory) -> History:
    *_, first = releases(ROOT)
    return history_from(first, tmp_path_factory.mktemp("history-0.1"))


def history_from(release: str, folder: Path) -> History:
    """Return the history from a release to the template as it is, in a repository in the folder."""
    return make_history(extract_template(release, folder / "template.git"))


def make_history(folder: Path) -> History:
    """Commit the template in the folder, and then the template as it is."""
    make_repository(folder)
    old = git(folder, "rev-parse", "HEAD")
    git(folder, "rm", "-r", "--quiet", ".")
    copy_template(folder)
    return History(folder, old, commit_all(folder, "Go on"))


def call(folder: Path, *command: str) -> str:
    """Run a module without the user's own settings, and return what it prints."""
    settings = {"COOKIECUTTER_CONFIG": str(write_settings(folder.parent))}
    env = os.environ | IDENTITY | settings
    return output_of(sys.executable, "-m", *command, folder=folder, env=env)


def make_project(maker: str, history: History, folder: Path, variant: Variant) -> Path:
    """Bake from the older template, as people do, and commit that."""
    output = folder / maker
    output.mkdir()
    answers = {"db_driver": variant.db_driver, "use_auth": "yes" if variant.use_auth else "no"}
    if maker == "cruft":
        context = ("--extra-context", json.dumps(answers))
        url = history.repository.as_uri()
        call(output, "cruft", "create", url, "--checkout", history.old, "--no-input", *context)
    else:
        url = f"git+{history.repository.as_uri()}"
        arguments = [f"{name}={answer}" for name, answer in answers.items()]
        call(output, "cookiecutter", url, "--checkout", history.old, "--no-input", *arguments)
    return make_repository(output / "demo-service")


def update(project: Path, **answers: object) -> str:
    arguments = ("--variables-to-update", json.dumps(answers)) if answers else ()
    return call(project, "cruft", "update", "--skip-apply-ask", *arguments)


def files(project: Path) -> dict[str, bytes]:
    """Return what git would hold of the project, without what names the template's commit."""
    names = git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return {
        name: (project / name).read_bytes()
        for name in names
        if name not in {"", ".cruft.json", "uv.lock"} and (project / name).exists()
    }


def conflicts(project: Path) -> list[str]:
    """Return the files that git or cruft have left to be resolved."""
    unmerged = git(project, "diff", "--name-only", "--diff-filter=U").splitlines()
    return unmerged + [path.name for path in project.rglob("*.rej")]


def work_on(project: Path, *, follows: str) -> None:
    """Do what a team does to its project, and commit it."""
    edit(project, follows=follows)
    commit_all(project, "Add articles")


def update_edited(project: Path, expected: Path) -> None:
    """Update a project in which a team has worked. What it becomes equals a new bake with the same work."""
    (follows,) = heads(project)
    for edited in (project, expected):
        work_on(edited, follows=follows)
    update(project)
    assert conflicts(project) == []
    assert files(project) == files(expected)


def check_suite(project: Path, *tests: str) -> None:
    """Run the suite of an updated project, or some tests of it."""
    join_heads(project)
    run_suite(project, *(tests or ("-n", "2")))


def join_heads(project: Path) -> None:
    """Join the project's revisions and the template's, as UPGRADING.md says."""
    if len(heads(project)) > 1:
        run(project, "alembic", "merge", "heads", "-m", "merge the template's revisions")


@pytest.fixture(scope="module")
def updated(history: History, template: Path, workspace: Path) -> Callable[[Variant], Path]:
    """Return a function that gives the project of a variant, updated; it is made once."""

    def project_of(variant: Variant) -> Path:
        def make(folder: Path) -> str:
            project = make_project(MAKERS[variant], history, folder, variant)
            expected = bake_repository(template, folder / "now", variant)
            # Once, because a migration gets a random name. The command is that of the older template.
            copy_story(expected, write_story(project))
            update_edited(project, expected)
            state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
            assert state["commit"] == history.new
            join_heads(project)
            return str(project)

        return Path(made_once(workspace / f"update-{variant.name}", make))

    return project_of


@VARIANT
def test_update_brings_the_template_s_changes_and_keeps_the_team_s(
    updated: Callable[[Variant], Path], variant: Variant
) -> None:
    """The result is a project of the template as it is with the team's edits."""
    project = updated(variant)
    for check in QUICK_CHECKS:
        run(project, *check)
    if variant in FIRST:  # `-m full` runs the whole suite of each
        check_suite(project, *OF_RESOURCES)


@pytest.mark.full
@VARIANT
def test_suite_of_an_updated_project_passes(
    updated: Callable[[Variant], Path], variant: Variant
) -> None:
    check_suite(updated(variant))


@pytest.mark.parametrize("variant", in_each_run([], slow=FIRST))
def test_page_about_updates_says_what_to_type(
    history: History, workspace: Path, variant: Variant
) -> None:
    folder = workspace / f"typed-update-{variant.name}"
    folder.mkdir()
    project = make_project("cruft", history, folder, variant)
    settings = {"COOKIECUTTER_CONFIG": str(write_settings(folder))}
    page = ROOT / TEMPLATE_FOLDER / "docs/howto/upgrade.md"
    update_, conflicts_, *others = lines_of(page)
    terminal = Terminal(project, settings)

    terminal.type_in(update_)
    assert terminal.type_in(conflicts_) == ""
    assert json.loads((project / ".cruft.json").read_text())["commit"] == history.new
    for line in others:
        terminal.type_in(line)


@pytest.fixture(scope="session")
def history_since_the_promise(tmp_path_factory: pytest.TempPathFactory) -> History:
    """From the oldest release from which updates have no conflicts."""
    promised = [commit for commit in releases(ROOT) if version_number(ROOT, commit) >= PROMISED]
    return history_from(promised[-1], tmp_path_factory.mktemp("history-of-the-promise"))


@pytest.mark.full
@VARIANT
def test_update_over_several_releases_has_no_conflicts(
    history_since_the_promise: History, template: Path, workspace: Path, variant: Variant
) -> None:
    folder = workspace / f"since-the-promise-{variant.name}"
    folder.mkdir()
    project = make_project("cruft", history_since_the_promise, folder, variant)
    expected = bake_repository(template, folder / "now", variant)
    update_edited(project, expected)
    for check in QUICK_CHECKS:
        run(project, *check)
    # Its files are those of an update from the previous release, whose whole suite is run above.
    check_suite(project, "tests/migrations", *OF_ARTICLES)


@pytest.mark.parametrize("variant", in_each_run([], slow=FIRST))
def test_update_of_a_project_without_the_demo_has_no_conflicts(
    history: History, template: Path, workspace: Path, variant: Variant
) -> None:
    folder = workspace / f"without-demo-{variant.name}"
    folder.mkdir()
    project = make_project(MAKERS[variant], history, folder, variant)
    expected = bake_repository(template, folder / "now", variant)
    for one in (project, expected):
        run(one, "app", "remove", "post")
        commit_all(one, "Remove the demo")

    update(project)

    assert conflicts(project) == []
    assert files(project) == files(expected)


@pytest.mark.parametrize("variant", in_each_run([], slow=VARIANTS[1:2], of=VARIANTS[1::2]))
def test_auth_comes_by_an_update(
    history: History, template: Path, workspace: Path, variant: Variant
) -> None:
    """Auth adds lines beside those of a resource, and both have to stay, as UPGRADING.md says."""
    folder = workspace / f"to-auth-{variant.db_driver}"
    folder.mkdir()
    project = make_project("cookiecutter", history, folder, variant)
    (follows,) = heads(project)
    work_on(project, follows=follows)
    update(project, use_auth=True)
    resolved = conflicts(project)
    assert resolved == ["app/models/__init__.py", "app/routes/__init__.py"]
    for name in resolved:
        keep_both_sides(project / name)
    run(project, "ruff", "check", "--quiet", "--fix", "--select=I", *resolved)
    expected = bake_repository(template, folder / "now", replace(variant, use_auth=True))
    edit(expected, follows=follows)
    assert files(project) == files(expected)
    check_suite(project, "tests/migrations", *OF_ARTICLES)


def keep_both_sides(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^(<{7} |={7}$|>{7} ).*\n", "", text, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")


# 0.2.0 moved most files, so that edits of before meet conflicts. None may be lost unseen.
FROM_0_1 = pytest.mark.parametrize("variant", in_each_run([], slow=FIRST))


def update_from_0_1(history: History, folder: Path, variant: Variant, edits: Edits) -> Update:
    folder.mkdir()
    project = make_project("cruft", history, folder, variant)
    change(project, edits)
    commit_all(project, "Add articles")
    printed = update(project)
    return Update(project, printed, conflicts(project))


@FROM_0_1
def test_conflicts_of_an_update_from_0_1_are_marked(
    history_since_0_1: History,
    workspace: Path,
    variant: Variant,
    record_property: Callable[[str, object], None],
) -> None:
    edits = CHANGES_OF_0_1
    folder = workspace / f"from-0.1-{variant.name}"
    result = update_from_0_1(history_since_0_1, folder, variant, edits)
    record_property("figures", str(result))
    assert lost(result.project, edits) == []
    assert result.conflicts
    for name in result.conflicts:
        assert "\n<<<<<<< " in "\n" + (result.project / name).read_text(encoding="utf-8")


@FROM_0_1
def test_conflicts_of_an_update_from_0_1_are_left_beside_the_files_if_an_edited_one_went(
    history_since_0_1: History,
    workspace: Path,
    variant: Variant,
    record_property: Callable[[str, object], None],
) -> None:
    """Git then gives up marking. The edited file stays where it is, and cruft prints its name."""
    edits = {**CHANGES_OF_0_1, **CHANGES_OF_WHAT_WENT}
    folder = workspace / f"from-0.1-with-what-went-{variant.name}"
    result = update_from_0_1(history_since_0_1, folder, variant, edits)
    record_property("figures", str(result))
    assert lost(result.project, edits) == []
    assert result.conflicts
    assert all(name.endswith(".rej") for name in result.conflicts)
    for name in CHANGES_OF_WHAT_WENT:
        assert f"error: {name}: patch does not apply" in result.printed


def lost(project: Path, edits: Edits) -> list[str]:
    """Return the lines of the edits that no file has any more."""
    texts = [text.decode(errors="replace") for text in files(project).values()]
    lines = [
        line
        for replacements in edits.values()
        for old, new in replacements
        for line in new.splitlines()
        if line and line not in old
    ]
    return [line for line in lines if not any(line in text for text in texts)]


@pytest.fixture
def project_of_two(template: Path, tmp_path: Path) -> tuple[Path, History]:
    """Return a project, and a template that has changed a line since."""
    repository = tmp_path / "template.git"
    shutil.copytree(template, repository)
    make_repository(repository)
    old = git(repository, "rev-parse", "HEAD")
    main = repository / TEMPLATE_FOLDER / "app" / "main.py"
    text = main.read_text(encoding="utf-8")
    assert text.count(LINE) == 1
    main.write_text(text.replace(LINE, "# The template's words.\n"), encoding="utf-8")
    history = History(repository, old, commit_all(repository, "Say it otherwise"))
    return make_project("cookiecutter", history, tmp_path, VARIANTS[0]), history


def rewrite(project: Path) -> None:
    main = project / "app" / "main.py"
    text = main.read_text(encoding="utf-8")
    main.write_text(text.replace(LINE, "# The team's words.\n"), encoding="utf-8")


def test_conflict_is_marked(project_of_two: tuple[Path, History]) -> None:
    project, _ = project_of_two
    rewrite(project)
    commit_all(project, "Say it our way")
    printed = update(project)
    assert conflicts(project) == ["app/main.py"]
    assert "app/main.py' with conflicts" in printed
    assert "Next:" not in printed  # which a new project is told
    text = (project / "app" / "main.py").read_text(encoding="utf-8")
    marked = re.search(r"<{7} [^\n]+\n(.*?)={7}\n(.*?)>{7} ", text, flags=re.DOTALL)
    assert marked
    assert "The team's words." in marked[1]
    assert "The template's words." in marked[2]


@pytest.mark.slow
@pytest.mark.parametrize("lack", ["git", "the bake in its history"])
def test_conflict_that_git_cannot_mark_is_left_beside_the_file(
    project_of_two: tuple[Path, History], lack: str
) -> None:
    project, _ = project_of_two
    rewrite(project)
    shutil.rmtree(project / ".git")
    if lack != "git":
        make_repository(project)
    printed = update(project)
    assert "main.py.rej" in " ".join(path.name for path in project.rglob("*.rej"))
    assert "*.rej" in printed
    assert "The team's words." in (project / "app" / "main.py").read_text(encoding="utf-8")


@pytest.mark.slow
def test_second_update_finds_nothing_to_do(project_of_two: tuple[Path, History]) -> None:
    project, history = project_of_two
    update(project)
    assert "The template's words." in (project / "app" / "main.py").read_text(encoding="utf-8")
    commit_all(project, "Update")
    assert "already up to date" in update(project)
    assert json.loads((project / ".cruft.json").read_text())["commit"] == history.new
