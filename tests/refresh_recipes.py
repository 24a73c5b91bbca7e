"""Writes the patches of recipes again, after the template or a recipe was changed.

    uv run tests/refresh_recipes.py                        # all of them
    uv run tests/refresh_recipes.py cache                  # those with this name
    uv run tests/refresh_recipes.py cache --from FOLDER    # from a bake in which it was changed

A patch is applied to a bake of the commit that wrote it, and the change is carried over to a bake of the template
as it is. Where that leaves conflicts, resolve them in the folder that is named, and run the command with `--from`.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from baking import ROOT, bake_repository, copy_template, extract_template
from processes import output_of
from recipes import FOLDER, apply_problem, name_of, patch_of, patches, variants_of
from repositories import commit_all, git


def refresh(patch: Path, folder: Path) -> str:
    """Return the patch for the template as it is. Raise AssertionError where that takes a hand."""
    variant, *_ = variants_of(patch)
    written = git(ROOT, "log", "-1", "--format=%H", "--", str(patch))
    old = bake_repository(extract_template(written, folder / "template"), folder / "old", variant)
    text = output_of("git", "show", f"{written}:{patch.relative_to(ROOT).as_posix()}", folder=ROOT)
    problem = apply_problem(old, text)
    assert not problem, f"{patch.name} does not fit the commit that wrote it, {written}: {problem}"
    recipe = commit_all(old, name_of(patch))
    git(old, "checkout", "--quiet", "HEAD~1")
    new = bake_repository(copy_template(folder / "now"), folder / "new", variant)
    replace_files(old, new)
    base = commit_all(old, "The template as it is")
    git(old, "config", "merge.conflictStyle", "diff3")
    try:
        git(old, "cherry-pick", recipe)
    except AssertionError as error:
        raise AssertionError(f"{error}\nResolve that in {old}, and use --from {old}") from None
    return patch_of(old, others(patch, folder / "others"), base)


def replace_files(project: Path, other: Path) -> None:
    """Give a project the files of another one."""
    git(project, "rm", "-r", "--quiet", ".")
    shutil.copytree(other, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))


def others(patch: Path, folder: Path) -> dict[str, Path]:
    """Bake each variant that a patch is for: as it is, and with all other recipes."""
    template = copy_template(folder / "template")
    found: dict[str, Path] = {}
    for variant in variants_of(patch):
        bare = bake_repository(template, folder / variant.name, variant)
        full = folder / f"{variant.name}-with-others"
        shutil.copytree(bare, full)
        for other in patches():
            if variant in variants_of(other) and other != patch:
                apply_problem(full, other.read_text(encoding="utf-8"))  # where that one fits
        found |= {variant.name: bare, f"{variant.name} with other recipes": full}
    return found


def written_anew(patch: Path, project: Path | None, folder: Path) -> str:
    if project:
        return patch_of(project, others(patch, folder))
    return refresh(patch, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the patches of recipes again.")
    parser.add_argument("names", nargs="*", help="of patches, without .patch; or all")
    parser.add_argument("--from", dest="project", type=Path, help="a bake that was changed")
    arguments = parser.parse_args()
    known = {patch.stem: patch for patch in patches()}
    unknown = sorted(set(arguments.names) - known.keys())
    if unknown and not arguments.project:  # with --from, a recipe may be new
        parser.error(f"no recipe {', '.join(unknown)}; there are {', '.join(known)}")
    failed = 0
    for patch in [
        known.get(name, FOLDER / f"{name}.patch") for name in arguments.names
    ] or patches():
        folder = Path(tempfile.mkdtemp(prefix="recipe-"))
        try:
            text = written_anew(patch, arguments.project, folder)
        except AssertionError as error:
            print(f"{patch.stem}: {error}", file=sys.stderr)
            failed += 1
            continue
        shutil.rmtree(folder)
        patch.parent.mkdir(parents=True, exist_ok=True)
        patch.write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {patch.relative_to(ROOT)}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
