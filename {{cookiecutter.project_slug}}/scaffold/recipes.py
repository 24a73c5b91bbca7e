"""The work of `app recipes` and `app recipe`: the patches in `docs/recipes`, each with its page."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Final

from app.cli.commands import CommandError
from app.core.database.migrations import MigrationError
from app.core.env_file import PROJECT
from scaffold.completing import completed, followed_by, revisions_of
from scaffold.patches import Checkout, Patch, Rest
from scaffold.project import Project
from scaffold.records import has_demo
from scaffold.revisions import all_revisions, head

FOLDER: Final = "docs/recipes"
ADDED: Final = "added"
# A row of the table at the top of a page.
NEEDS_DEMO: Final = "| needs | the demo |"


@dataclass(frozen=True)
class Recipe:
    """A page and its patch, which follows the project's own migrations."""

    page: str
    project: Project

    @property
    def name(self) -> str:
        return self.page.rpartition("/")[2].removesuffix(".md")

    @property
    def title(self) -> str:
        return (self.project.read(self.page) or "").partition("\n")[0].removeprefix("# ")

    @property
    def changes_demo(self) -> bool:
        """Whether the patch changes the demo, as the page says."""
        return NEEDS_DEMO in (self.project.read(self.page) or "").splitlines()

    @property
    def is_without_demo(self) -> bool:
        """Whether the patch changes the demo, and the demo was removed or renamed."""
        return self.changes_demo and not has_demo(self.project)

    @property
    def patch_name(self) -> str:
        return self.page.removesuffix("md") + "patch"

    @cached_property
    def patch(self) -> Patch:
        """The patch for this project. Raises `CommandError` if it is missing."""
        text = self.project.read(self.patch_name)
        if text is None:
            raise CommandError(f"{self.page} has no patch beside it")
        return completed(self.project, text)

    @property
    def revisions(self) -> list[str]:
        return revisions_of(self.patch)

    @property
    def was_added(self) -> bool:
        """Whether one of its revisions is there, or all files that it creates with most of their lines."""
        if own := {*self.revisions}:
            return not own.isdisjoint(script.revision for script in all_revisions(self.project))
        added = {name: self.patch.added(name) for name in self.patch.created}
        if not all(map(self.project.has, added)):
            return False
        texts = {name: (self.project.read(name) or "").splitlines() for name in added}
        are_there = [
            line in texts[name] for name, lines in added.items() for line in lines if line.strip()
        ]
        return sum(are_there) > len(are_there) / 2

    @property
    def settings(self) -> list[str]:
        """The settings that it adds, as `.env.example` names them."""
        lines = "\n".join(self.patch.added(".env.example"))
        return re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", lines, re.MULTILINE)

    @property
    def packages(self) -> list[str]:
        """The packages that it adds, as pyproject.toml names them."""
        lines = "\n".join(self.patch.added("pyproject.toml"))
        return re.findall(r'^    "([\w.-]+)[^"]*>=', lines, re.MULTILINE)


def recipes_of(project: Project) -> dict[str, Recipe]:
    """Return the recipes that a project has, by their names."""
    pages = [
        name for name in project.sources(f"{FOLDER}/**/*.md") if not name.endswith("/README.md")
    ]
    return {recipe.name: recipe for recipe in (Recipe(page, project) for page in pages)}


def recipes_in_demo(project: Project) -> list[str]:
    """Return the recipes that have changed the demo, and that `app recipe remove` can take out."""
    checkout = Checkout(project.root)
    found = recipes_of(project).items()
    try:
        return [
            name
            for name, recipe in found
            if recipe.changes_demo
            and _state(checkout, recipe) == ADDED
            and _is_followed_by_none(recipe)
        ]
    except CommandError:  # there is no git, and so no recipe
        return []


def recipes() -> Iterator[str]:
    """Yield a line for each recipe: its name, what it is, and whether it was added or fits."""
    project, checkout = Project(PROJECT), Checkout(PROJECT)
    found = recipes_of(project)
    width = max(map(len, found), default=0)
    for name, recipe in found.items():
        yield f"{name:{width}}  {recipe.title} ({_state(checkout, recipe)})"
    yield ""
    yield f"{FOLDER}/NAME.md describes each. `uv run app recipe add NAME` adds one."


def add(name: str, *, dry_run: bool, reject: bool = False) -> Iterator[str]:
    """Apply a recipe to a clean work tree, or with `dry_run` show what would change.

    With `reject`, apply what fits. Raises `CommandError`, which says why, if nothing is changed.
    """
    recipe, checkout = _find(name), Checkout(PROJECT)
    checkout.require_clean()
    _require_place(checkout, recipe)
    problems = checkout.problems(recipe.patch)
    if problems and not reject:
        yield from _in_the_way(problems)
        yield f"`uv run app recipe add {name} --reject` changes what fits, and leaves the rest in files"
        yield "named *.rej, for you to change by hand."
        raise CommandError(f"Nothing was changed: {name} does not fit")
    if dry_run:
        yield recipe.patch.text.rstrip()
        return
    rest = Rest([], {})
    if reject:
        rest = checkout.apply_what_fits(recipe.patch)
    else:
        checkout.apply(recipe.patch)
    for file in recipe.patch.files:
        if file not in rest.skipped:
            yield f"{'created' if file in recipe.patch.created else 'changed'}  {file}"
    yield from (f"skipped  {file}, which {reason}" for file, reason in rest.skipped.items())
    yield from (f"rejected {file}" for file in rest.rejected)
    yield from ("", *_next(recipe))


def remove(name: str, *, dry_run: bool, confirm: Callable[[str], None]) -> Iterator[str]:
    """Undo a recipe while nobody has edited what it added, or with `dry_run` name the files.

    `confirm` raises an exception unless somebody agrees to a question.
    """
    recipe, checkout = _find(name), Checkout(PROJECT)
    checkout.require_clean()
    problems = checkout.problems(recipe.patch, reverse=True)
    if problems:
        yield from _in_the_way(problems)
        yield f"Undo the edits, or take out by hand what {recipe.patch_name} adds."
        raise CommandError(f"Nothing was changed: {name} is not there, or has been edited")
    _require_last(recipe)
    if not dry_run:
        if recipe.revisions:
            confirm(
                f"Have all databases run `uv run alembic downgrade {followed_by(recipe.patch)}`?"
            )
        checkout.apply(recipe.patch, reverse=True)
    for file in recipe.patch.files:
        yield f"{'deleted' if file in recipe.patch.created else 'changed'}  {file}"
    if recipe.packages:
        yield from ("", "Next:", "  uv sync    # takes its packages out of uv.lock")


def _require_place(checkout: Checkout, recipe: Recipe) -> None:
    """Raise `CommandError` if a recipe was added already, or changes a demo that is not there."""
    name = recipe.name
    if not checkout.problems(recipe.patch, reverse=True):
        raise CommandError(f"{name} was added already; `uv run app recipe remove {name}` undoes it")
    if recipe.was_added:
        raise CommandError(
            f"{name} was added already, and has been edited. To add it again, take out by hand what "
            f"{recipe.patch_name} adds"
        )
    if recipe.is_without_demo:
        raise CommandError(
            f"Nothing was changed: {name} changes the demo, which was removed or renamed. Do the same as "
            f"{recipe.patch_name} in the files of a resource of your own"
        )


def _find(name: str) -> Recipe:
    found = recipes_of(Project(PROJECT))
    if name in found:
        return found[name]
    near = [each for each in found if name in each] or get_close_matches(name, found)
    hint = f"Do you mean {' or '.join(near)}?" if near else "`uv run app recipes` lists them"
    raise CommandError(f"There is no recipe {name}. {hint}")


def _state(checkout: Checkout, recipe: Recipe) -> str:
    try:
        patch = recipe.patch
    except (CommandError, MigrationError):  # `app recipe add` says why
        return "does not fit"
    if not checkout.problems(patch, reverse=True):
        return ADDED
    if recipe.was_added:
        return "added, and edited since"
    if recipe.is_without_demo:
        return "changes the demo, which was removed or renamed"
    return "does not fit" if checkout.problems(patch) else "fits"


def _in_the_way(problems: list[str]) -> Iterator[str]:
    yield "In the way:"
    yield from (f"  {problem}" for problem in problems)
    yield ""


def _next(recipe: Recipe) -> Iterator[str]:
    if recipe.settings:
        yield f"Settings, described in .env.example: {', '.join(recipe.settings)}"
    yield "Next:"
    if recipe.packages:
        yield "  uv sync"
    yield "  git add -A && git diff --cached"
    if recipe.revisions:
        yield "  uv run app migrate"
    tests = [file for file in recipe.patch.created if re.search(r"/test_\w+\.py$", file)]
    yield f"  uv run pytest {' '.join([*tests, 'tests/test_architecture.py'])}"
    yield f"{recipe.page} says how it works. `uv run app recipe remove {recipe.name}` undoes it."


def _is_followed_by_none(recipe: Recipe) -> bool:
    """Return whether no other revision follows one of the recipe."""
    own = {*recipe.revisions}
    return not own or head(recipe.project) in own


def _require_last(recipe: Recipe) -> None:
    """Raise `CommandError` if another revision follows one of the recipe."""
    if not _is_followed_by_none(recipe):
        own = {*recipe.revisions}
        raise CommandError(
            f"Other revisions follow {', '.join(sorted(own))}: keep what it has added, and write a "
            "migration that drops its columns and tables"
        )
