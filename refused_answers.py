"""The filter with which cookiecutter.json refuses answers as soon as the last one is given.

The hook pre_gen_project checks the same, but too late for a project_slug that is a path or the folder itself, and
cookiecutter shows a traceback after what a hook says. The hook repeats the check for `--replay`, which renders no
answers.

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
    """Return the answers as `key=value`, without the refused one, nor a slug that may follow from it."""
    refused = problem.partition(" ")[0]
    left_out = {refused, "project_slug"} if refused == "project_name" else {refused}
    given = {name: answers[name] for name in answers if name[0] != "_" and name not in left_out}
    texts = {True: "yes", False: "no"}
    values = {name: argument(texts.get(answer, answer)) for name, answer in given.items()}
    return " ".join(shlex.quote(f"{name}={value}") for name, value in values.items())


def argument(answer: str) -> str:
    """Return what renders to the answer, because cookiecutter renders arguments, but not what is typed in."""
    if any(mark in answer for mark in ("{{", "{#", "# {%")):
        text = answer.replace("\\", "\\\\").replace('"', '\\"')
        return f'{{{{ "{text}" }}}}'
    return answer
