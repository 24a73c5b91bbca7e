"""Writes the patch of a feature in tests/features/ again, after the template was changed.

    uv run tests/refresh_features.py sessions                  # takes it out of a bake, up to its patch
    uv run tests/refresh_features.py sessions --from FOLDER    # writes the patch from what was changed there

The first command applies the patch as far as it fits, and says where what is left (`*.rej`) takes a hand.
"""

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from baking import bake, copy_template
from feature_of_registration import REGISTRATION
from feature_of_sessions import SESSIONS
from processes import output_of
from recipes import plain
from repositories import commit_all, git, make_repository
from taking_out import PATCHES, Feature, remove_parts
from variants import VARIANTS

FEATURES = {"registration": REGISTRATION, "sessions": SESSIONS}


def prepare(feature: Feature) -> Path:
    """Return a bake without the feature's files and definitions, which is committed, and with its patch."""
    folder = Path(tempfile.mkdtemp(prefix="feature-"))
    variant = VARIANTS[0]
    answers = {"db_driver": variant.db_driver, "use_auth": variant.use_auth}
    project = make_repository(bake(copy_template(folder / "template"), folder, **answers))
    remove_parts(project, replace(feature, patch=""), use_auth=variant.use_auth)
    commit_all(project, "What is left to edit")
    patch = ["git", "apply", "--reject", str(PATCHES / feature.patch)]
    subprocess.run(patch, cwd=project, check=False)
    return project


def write(feature: Feature, project: Path) -> None:
    """Write what was changed since the commit. Unused imports and the format are ruff's, so they are no part of it."""
    git(project, "add", "--all")
    options = ("--cached", "--no-color", "--no-renames", "--unified=1")
    text = plain(output_of("git", "diff", *options, folder=project))
    (PATCHES / feature.patch).write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the patch of a feature again.")
    parser.add_argument("name", choices=FEATURES)
    parser.add_argument("--from", dest="project", type=Path, help="a bake that was changed")
    arguments = parser.parse_args()
    feature = FEATURES[arguments.name]
    if arguments.project:
        write(feature, arguments.project)
        return
    project = prepare(feature)
    print(
        f"Edit {project}, then: uv run tests/refresh_features.py {arguments.name} --from {project}"
    )


if __name__ == "__main__":
    main()
