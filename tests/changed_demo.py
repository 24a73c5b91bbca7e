"""Bakes from which the demo was removed, or in which it has another name: a first step of most projects."""

from dataclasses import dataclass
from pathlib import Path

from baking import bake_repository, made_once, run
from repositories import commit_all
from variants import VARIANTS, Variant


@dataclass(frozen=True)
class ChangedDemo:
    """A variant, and the command that changes its demo."""

    variant: Variant
    command: str

    @property
    def name(self) -> str:
        return f"{self.command.partition(' ')[0]}d-{self.variant.name}"


REMOVED = [ChangedDemo(variant, "remove post") for variant in VARIANTS]
RENAMED = [ChangedDemo(variant, "rename post article") for variant in VARIANTS]
CHANGED_DEMOS = REMOVED + RENAMED
# With auth, where there are more recipes, and with one driver each.
ONE_OF_EACH = (REMOVED[0], RENAMED[2])


def changed_once(changed: ChangedDemo, template: Path, workspace: Path) -> Path:
    """Return the project, a repository in which the changed demo is committed; all tests share it."""

    def make(folder: Path) -> str:
        path = bake_repository(template, folder, changed.variant, with_lock=True)
        run(path, "app", *changed.command.split())
        commit_all(path, f"app {changed.command}")
        return str(path)

    return Path(made_once(workspace / f"demo-{changed.name}", make))
