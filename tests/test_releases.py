"""Versions: one place says which it is, and each is described for those who upgrade."""

import ast
import json
import re
from pathlib import Path

import pytest
from baking import ROOT, TEMPLATE_FOLDER
from promised_names import routes, without_names
from releases import (
    NoReleaseError,
    gone_names_without_entry,
    gone_promises_without_entry,
    moved_without_entry,
    previous_release,
    unreleased_entries,
)
from repositories import commit_all, git, make_repository


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def version() -> str:
    return str(json.loads(read("cookiecutter.json"))["_version"])


def sections(name: str) -> list[str]:
    """Return the headings of the versions in a document, as they follow each other."""
    return re.findall(r"^## (.+)$", read(name), flags=re.MULTILINE)


def test_changelog_describes_the_version_and_leaves_room_for_the_next() -> None:
    unreleased, *released = sections("CHANGELOG.md")
    assert unreleased == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title) for title in released)
    assert released[0].split(" - ")[0] == version()
    numbers = [tuple(map(int, title.split(" - ")[0].split("."))) for title in released]
    assert numbers == sorted(set(numbers), reverse=True)


def test_upgrading_has_a_section_for_each_minor_version() -> None:
    released = [title.rpartition(".")[0] for title in sections("CHANGELOG.md")[1:]]
    described = [title for title in sections("UPGRADING.md") if title != "Unreleased"]
    assert described == list(dict.fromkeys(released))


def test_file_that_moved_since_the_release_before_has_its_entry() -> None:
    assert moved_without_entry(ROOT, TEMPLATE_FOLDER, previous_release(ROOT)) == []


def test_public_names_do_not_go_without_an_entry() -> None:
    assert gone_names_without_entry(ROOT, TEMPLATE_FOLDER, previous_release(ROOT)) == []


def test_routes_codes_and_variables_do_not_go_without_an_entry() -> None:
    release = previous_release(ROOT)
    assert gone_promises_without_entry(ROOT, TEMPLATE_FOLDER, release) == []


def test_release_leaves_nothing_unreleased_in_upgrading() -> None:
    assert unreleased_entries(ROOT) == ""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with a release 0.1.0 and, after it, one commit."""
    write(tmp_path, "cookiecutter.json", '{\n  "_version": "0.1.0"\n}\n')
    write(tmp_path, "UPGRADING.md", "# Upgrading\n\n`t/old.py`\n\n## 0.1\n\nThe first.\n")
    write(tmp_path, "t/old.py", "1\n")
    write(tmp_path, "t/other.py", "2\n")
    make_repository(tmp_path)
    write(tmp_path, "t/new.py", "3\n")
    commit_all(tmp_path, "Go on")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_release_is_what_brought_the_version_or_what_its_tag_names(repository: Path) -> None:
    brought = git(repository, "rev-parse", "HEAD^")
    assert previous_release(repository) == brought
    write(repository, "UPGRADING.md", "Later.\n")
    tagged = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "0.1.0")
    assert previous_release(repository) == tagged


def test_release_before_is_never_the_work_tree_itself(repository: Path) -> None:
    first = previous_release(repository)
    write(repository, "cookiecutter.json", '{\n  "_version": "0.2.0"\n}\n')
    assert previous_release(repository) == first
    second = commit_all(repository, "Release 0.2.0")
    assert previous_release(repository) == first
    write(repository, "t/other.py", "3\n")
    assert previous_release(repository) == second


def test_shallow_clone_says_how_to_get_the_release(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", repository.as_uri(), str(clone))
    with pytest.raises(NoReleaseError, match="fetch-depth: 0"):
        previous_release(clone)


@pytest.mark.parametrize("heading", ["Unreleased", "0.2", "0.1"])
def test_file_that_moves_without_an_entry_is_found(repository: Path, heading: str) -> None:
    release = previous_release(repository)
    (repository / "t/old.py").rename(repository / "t/newer.py")
    (repository / "t/other.py").unlink()
    assert moved_without_entry(repository, "t", release) == ["old.py", "other.py"]
    text = (repository / "UPGRADING.md").read_text(encoding="utf-8")
    entry = f"## {heading}\n\n- `old.py` is `newer.py` now.\n"
    before = "" if heading == "0.1" else "## 0.1\n"
    text = text.replace("## 0.1\n", f"{entry}\n{before}")
    write(repository, "UPGRADING.md", text)
    assert moved_without_entry(repository, "t", release) == ["other.py"]


def test_entry_of_an_older_version_is_none(repository: Path) -> None:
    text = (repository / "UPGRADING.md").read_text(encoding="utf-8")
    write(repository, "UPGRADING.md", text.replace("The first.", "| `oldest.py` | `old.py` |"))
    release = commit_all(repository, "Release 0.2.0")
    (repository / "t/old.py").unlink()
    assert moved_without_entry(repository, "t", release) == ["old.py"]


def test_entry_that_a_release_left_unreleased_is_found(repository: Path) -> None:
    text = (repository / "UPGRADING.md").read_text(encoding="utf-8")
    write(repository, "UPGRADING.md", f"# Upgrading\n\n## Unreleased\n\n- `a` is `b`.\n\n{text}")
    commit_all(repository, "Rename a")
    assert unreleased_entries(repository) == ""
    write(repository, "cookiecutter.json", '{\n  "_version": "0.2.0"\n}\n')
    commit_all(repository, "Release 0.2.0")
    assert unreleased_entries(repository).startswith("- `a` is `b`.")
    write(repository, "UPGRADING.md", f"# Upgrading\n\n## Unreleased\n\n## 0.2\n\n{text}")
    git(repository, "commit", "--quiet", "--all", "--amend", "--no-edit")
    assert unreleased_entries(repository) == ""


THEN = """
from other import moved, settled
LIMIT = 1
OLDER = 1
TITLES = {1: "Not_a_name"}
try:
    app = 1
except ValueError:
    raise
class Old: ...
class Kept:
    size: int
    _hidden: int
    def __init__(self, near, far): ...
    def read(self, by, since): ...
    def write(self): ...
def call(given, other): ...
def move(given): ...
OLD = {"older_still": "other"}
def __getattr__(name):
    if name not in OLD:
        raise AttributeError(f"no {name}")
    return OLD[name]
"""
NOW = """
from other import move as move
TITLES = {}
OLD = {}
class Base:
    size: int
class Kept(Base):
    def __init__(self, near): ...
    def read(self, by, *, until): ...
def call(given): ...
MOVED = {"OLDER": "other"}
def __getattr__(name):
    return 1 if name == "Old" else MOVED[name]
"""
GONE = ["LIMIT", "app", "Kept(far)", "Kept.read(since)", "Kept.write", "call(other)", "older_still"]


def test_name_that_goes_without_an_entry_is_found(repository: Path) -> None:
    write(repository, "t/app/names.py", THEN)
    write(repository, "cookiecutter.json", '{\n  "_version": "0.2.0"\n}\n')
    release = commit_all(repository, "Release 0.2.0")
    write(repository, "t/app/names.py", NOW)
    assert sorted(gone_names_without_entry(repository, "t", release)) == [
        f"app/names.py:{name}" for name in sorted(GONE)
    ]
    text = (repository / "UPGRADING.md").read_text(encoding="utf-8")
    write(
        repository,
        "UPGRADING.md",
        f"`LIMIT`, `app`, `older_still`, `Kept(far)`, `read(since)`, `Kept.write`\n\n{text}",
    )
    assert gone_names_without_entry(repository, "t", release) == ["app/names.py:call(other)"]


ROUTES = """
from app.routes import below
router = APIRouter(prefix="/posts", tags=["Posts"])
@router.get("")
async def list_posts(): ...
@router.get("/{post_id:id}", responses=NOT_MODIFIED)
async def read_post(): ...
router.include_router(below.router)
"""
ROUTES_BELOW = """
router = APIRouter(prefix="/{post_id:id}")
@router.put("/like", status_code=204)
async def like_post(): ...
"""
ERRORS = """
class TakenError(Exception):
    code = "TAKEN"
class GoneError(Exception):
    code: ClassVar[str] = "GONE"
raise problem(code="OTHER")
"""
VARIABLES = "# What it is.\nREQUIRED=\n# OPTIONAL=1\n"


def test_route_code_or_variable_that_goes_without_an_entry_is_found(repository: Path) -> None:
    write(repository, "t/app/routes/posts.py", ROUTES)
    write(repository, "t/app/routes/below.py", ROUTES_BELOW)
    write(repository, "t/app/errors.py", ERRORS)
    write(repository, "t/.env.example", VARIABLES)
    write(repository, "cookiecutter.json", '{\n  "_version": "0.2.0"\n}\n')
    release = commit_all(repository, "Release 0.2.0")
    write(repository, "t/app/routes/posts.py", ROUTES.replace("post_id:id", "id:id"))
    assert gone_promises_without_entry(repository, "t", release) == []

    write(repository, "t/app/routes/posts.py", ROUTES.replace("/posts", "/articles"))
    write(repository, "t/app/errors.py", ERRORS.replace('= "', '= "NOW_').replace("OTHER", "NEW"))
    write(repository, "t/.env.example", VARIABLES.replace("RE", "IN").replace("OP", "AD"))
    gone = ["GET /posts", "GET /posts/{}", "GONE", "OPTIONAL", "OTHER", "PUT /posts/{}/like", "REQUIRED", "TAKEN"]  # fmt: skip
    assert gone_promises_without_entry(repository, "t", release) == gone
    text = (repository / "UPGRADING.md").read_text(encoding="utf-8")
    entry = (
        "`GET /posts` and `/posts/{id}` are gone, and so are `GONE` and `OPTIONAL=1`. So is TAKEN. "
        "`POST /posts/{id}/like` is new."
    )
    write(repository, "UPGRADING.md", f"{entry}\n\n{text}")
    left = ["OTHER", "PUT /posts/{}/like", "REQUIRED", "TAKEN"]
    assert gone_promises_without_entry(repository, "t", release) == left


def test_routes_are_found_as_the_tests_of_the_project_state_them() -> None:
    folder = ROOT / TEMPLATE_FOLDER
    modules = {
        path.relative_to(folder).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in (folder / "app" / "routes").rglob("*.py")
    }
    stated = {
        without_names(name)
        for path in (folder / "tests" / "routes").rglob("*.py")
        for name in re.findall(r'Endpoint\(\s*"([A-Z]+ [^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert len(stated) > 30
    assert routes(modules) == stated
