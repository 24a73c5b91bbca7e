"""The filter with which cookiecutter.json refuses answers as soon as the last one is given.

The hook pre_gen_project checks the same. It would be too late for a project_slug that is a path or the
folder itself, and cookiecutter shows a traceback after what a hook says. The hook is left for `--replay`,
which renders no answers.

cookiecutter loads this module itself (`_extensions`). `cruft update` bakes two versions of the template in
one process, which imports it once: a filter with another interface needs a module of another name.
"""

import runpy
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cookiecutter.utils import simple_filter

# Loaded once: a process that bakes again may have removed this copy of the template.
find_problem = runpy.run_path(str(Path(__file__).parent / "hooks" / "pre_gen_project.py"))[
    "find_problem"
]


@simple_filter  # type: ignore[untyped-decorator]
def checked_slug(answers: Mapping[str, Any]) -> str:
    """Return the project_slug, or exit with one sentence: cruft shows a traceback for an exception.

    On a terminal it also prints the other answers, which are lost, to be given as arguments.
    """
    problem = find_problem(answers)
    if problem and sys.stdin.isatty():
        arguments = others(answers, problem)
        sys.exit(f"{problem}\nTo keep the other answers, add them to the command: {arguments}")
    if problem:
        sys.exit(problem)
    slug: str = answers["project_slug"]
    return slug


def others(answers: Mapping[str, Any], problem: str) -> str:
    """Return the answers as `key=value`, without the refused one and the slug, which may follow from it."""
    refused = (problem.partition(" ")[0], "project_slug")
    given = {name: text for name, text in answers.items() if name[0] != "_" and name not in refused}
    texts = {True: "yes", False: "no"}
    return " ".join(shlex.quote(f"{name}={texts.get(given[name], given[name])}") for name in given)
