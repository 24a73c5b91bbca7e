"""Recipes: the patches in the project's `docs/recipes`, and the variants that each of them is for."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from baking import ROOT, TEMPLATE_FOLDER
from processes import output_of
from repositories import git
from variants import VARIANTS, Variant

FOLDER = ROOT / TEMPLATE_FOLDER / "docs" / "recipes"
ROUTES = "app/routes/__init__.py"
# `app recipe add` lists new models, routers and kinds of jobs there, whatever else is in the lists.
NOT_IN_PATCHES = (
    "uv.lock",
    "app/jobs/__init__.py",
    "app/models/__init__.py",
    ROUTES,
    "scaffold/resources/post.json",
)
# A row of the table of a page, which `app recipe add` reads.
NEEDS_DEMO = "| needs | the demo |"
# What a patch has that uses the demo.
USES_DEMO = re.compile(
    r"^\+.*(from (app|tests)\.\S*\bpost|import .*\bpost|\"posts\"|ON posts)", re.MULTILINE
)
# Less if the lines around a change differ between variants, or other recipes change them.
LINES_OF_CONTEXT = (3, 2, 1)


def patches(folder: Path = FOLDER) -> list[Path]:
    return sorted(folder.rglob("*.patch"))


def name_of(patch: Path) -> str:
    """Return the name that a recipe has in projects."""
    return patch.stem.removesuffix("_without_auth")


def variants_of(patch: Path) -> list[Variant]:
    """Return the variants whose projects have a patch, as the template's second hook decides it."""
    with_auth = (
        patch.parent.name == "auth" or patch.with_stem(f"{patch.stem}_without_auth").exists()
    )
    without_auth = patch.stem.endswith("_without_auth")
    return [
        variant
        for variant in VARIANTS
        if (variant.use_auth and not without_auth) or (not variant.use_auth and not with_auth)
    ]


def names_in(project: Path) -> list[str]:
    return [patch.stem for patch in patches(project / "docs" / "recipes")]


def changes_demo(patch: str) -> bool:
    """Return whether a patch changes or uses what belongs to the demo, as its record says."""
    record = json.loads((ROOT / TEMPLATE_FOLDER / NOT_IN_PATCHES[-1]).read_text(encoding="utf-8"))
    names = re.findall(r"^diff --git a/(\S+)", patch, re.MULTILINE)
    return bool(USES_DEMO.search(patch)) or any(
        fnmatchcase(name, pattern) for name in names for pattern in record["files"]
    )


def apply_problem(project: Path, text: str, *options: str) -> str:
    """Apply a patch, or with `--check` only try to; return what git says if it does not fit."""
    completed = subprocess.run(
        ["git", "apply", *options],
        cwd=project,
        input=text,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return completed.stderr if completed.returncode else ""


def patch_of(project: Path, others: Mapping[str, Path], base: str = "HEAD") -> str:
    """Return what was changed in a project since a commit, as a patch that fits other bakes, too.

    Raise AssertionError if it fits one of them with no number of lines of context.
    """
    git(project, "add", "--all")
    names = git(project, "diff", "--cached", "--name-only", base).splitlines()
    # Routers of auth it does not list: with those lines the patch is whole.
    is_whole = any(name.startswith("app/routes/auth/") for name in names)
    left_out = {*NOT_IN_PATCHES} - ({ROUTES} if is_whole else set())
    wanted = [name for name in names if name not in left_out]
    return "".join(part_of(project, name, others, base) for name in wanted)


def part_of(project: Path, name: str, others: Mapping[str, Path], base: str) -> str:
    """Return the part of a patch for one file, with as many lines of context as fit."""
    problems: Sequence[str] = ()
    # Of the list, as little as can be: `app recipe add` changes other lines there for other recipes.
    for lines in LINES_OF_CONTEXT[-1:] if name == ROUTES else LINES_OF_CONTEXT:
        options = ("--cached", "--no-color", "--no-renames", f"--unified={lines}")
        # Not `git()`, which would strip a last line that is empty.
        text = plain(output_of("git", "diff", *options, base, "--", name, folder=project))
        problems = [
            f"{bake}: {problem}"
            for bake, other in others.items()
            if (problem := apply_problem(other, text, "--check"))
        ]
        if not problems:
            return text
    raise AssertionError("\n".join(problems))


def plain(diff: str) -> str:
    """Return a diff without the hashes of contents, and without blanks at the ends of lines."""
    diff = re.sub(r"^index .+\n", "", diff, flags=re.MULTILINE)
    return re.sub(r"^ $", "", diff, flags=re.MULTILINE)
