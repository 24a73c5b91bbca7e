"""Bakes a project into demo/, with answers given as key=value, and serves it: `uv run tests/demo.py`.

Options, such as `--port 8001`, follow the answers, and are those of `app dev`.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from itertools import takewhile
from pathlib import Path

from baking import ROOT, bake, copy_template, project_environment, uv_executable
from cookiecutter.exceptions import CookiecutterException
from cookiecutter.generate import generate_context

DEMO = ROOT / "demo"
BAKED_WITH = ".answers.json"  # in the demo
QUESTIONS = ROOT / "cookiecutter.json"


def main(arguments: list[str]) -> int:
    """Bake unless that is done, and run `app dev` until it ends; return the exit code."""
    questions = [name for name in json.loads(QUESTIONS.read_text("utf-8")) if name[0] != "_"]
    questions.remove("project_slug")  # it names the folder
    given = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    options = arguments[len(given) :]
    for argument in given:
        if argument.partition("=")[0] not in questions or "=" not in argument:
            print(
                f"{argument}: give answers as key=value, for example db_driver=psycopg. "
                f"The keys are {', '.join(questions)}.",
                file=sys.stderr,
            )
            return 2
    answers = dict(argument.split("=", 1) for argument in given)
    if DEMO.exists():
        try:
            differences = find_differences(answers)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
        if differences:
            print(
                f"{DEMO} was baked with {differences}: remove it to bake it again.",
                file=sys.stderr,
            )
            return 1
        print(f"Running {DEMO} as it is; remove it to bake it again.", flush=True)
        return serve_demo(options)
    print("Baking the demo; its first start downloads what it needs.", flush=True)
    try:
        bake_demo(answers)
    except (CookiecutterException, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return serve_demo(options)


def find_differences(answers: dict[str, str]) -> str:
    """Return in which of the answers the demo was baked with others, or an empty string."""
    record = DEMO / BAKED_WITH
    baked = json.loads(record.read_text("utf-8")) if record.exists() else {}
    given = as_baked(answers)
    return ", ".join(
        f"{name}={baked.get(name, '?')} (not {given[name]})"
        for name in answers
        if baked.get(name) != given[name]
    )


def as_baked(answers: dict[str, str]) -> dict[str, str]:
    """Return all answers, with the defaults. Raises `ValueError` for a choice that there is not."""
    context = generate_context(str(QUESTIONS), extra_context=answers)["cookiecutter"]
    chosen = {
        name: value[0] if isinstance(value, list) else value for name, value in context.items()
    }
    spelled = {True: "yes", False: "no"}
    return {
        name: spelled[value] if isinstance(value, bool) else value
        for name, value in chosen.items()
        if name[0] != "_"
    }


def bake_demo(answers: dict[str, str]) -> None:
    """Bake from the files of the repository alone, without what running it in place has left."""
    logging.disable()  # the hook itself says what is wrong with an answer; a traceback would bury that
    os.environ["BAKE_WITHOUT_LINK"] = "1"  # a demo gets no updates
    with tempfile.TemporaryDirectory() as template:
        bake(copy_template(Path(template)), ROOT, **answers | {"project_slug": DEMO.name})
    (DEMO / BAKED_WITH).write_text(json.dumps(as_baked(answers)), encoding="utf-8")
    print(f"Baked {DEMO}.", flush=True)


def serve_demo(options: list[str]) -> int:
    command = [uv_executable(), "run", "app", "dev", *options]
    if os.name == "posix":
        # Takes our place, so that signals reach the server, and its exit code the caller, with nobody in between.
        os.chdir(DEMO)
        os.execve(command[0], command, project_environment())  # noqa: S606
    with subprocess.Popen(command, cwd=DEMO, env=project_environment()) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:  # Ctrl-C has reached the server as well
            return server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
