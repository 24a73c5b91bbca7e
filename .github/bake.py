# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7.1"]
# ///
"""Turns a repository made by GitHub's "Use this template" into the project, in one commit.

The workflow CI calls it: `bake.py place` prints where the workflow runs; `bake.py` bakes, commits and
pushes. The commit removes everything of the template, this file included, except its workflow: the
workflow's token may not change workflows. The commit and the run say how to replace it by hand.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Each can be answered in the form of "Run workflow", or by a repository variable of this name in capitals.
QUESTIONS = (
    "project_name", "project_slug", "description", "author_name", "author_email", "db_driver", "use_auth", "license",
)  # fmt: skip
CHOICES = ("db_driver", "use_auth", "license")
NOT_CHOSEN = "default"

# GitHub allows 350 characters in a description, hooks/pre_gen_project.py fewer.
MAX_TEXT_LENGTH = 200

BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
WORKFLOWS = ".github/workflows"

REPLACE = "git mv -f .github/ci.yml .github/workflows/ci.yml"
REPLACE_WORKFLOW = f"""\
{WORKFLOWS}/ci.yml is still the template's, because the token of a workflow
may not change workflows. It lints and tests the project, but does not
audit, build or release it. The project's own is .github/ci.yml. To replace
the one by the other, run in a clone:

    {REPLACE}
    git commit -m "Use the CI of the project" && git push
"""

# Git reads the token from the environment: as an argument it would show in the list of processes.
CREDENTIALS = '!f() { echo username=x-access-token; echo "password=$GH_TOKEN"; }; f'

REMEDY = (
    "Give another answer: run the workflow CI by hand (Actions, CI, Run workflow), or set a repository "
    f"variable (Settings, Secrets and variables, Actions), one of {', '.join(QUESTIONS).upper()}, "
    "and run this job again."
)


class NotBakedError(Exception):
    """Its message says why there is no project, and what to do."""


def main(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Return the exit code: 1, with the reason as an annotation of the run, when baking fails."""
    event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    place = find_place(folder, event)
    if arguments == ["place"]:
        print(f"place={place}")
        return 0
    if place != "copy":
        print(f"Nothing to bake: this is a {place}.")
        return 0
    try:
        bake(folder, event, environment)
    except NotBakedError as error:
        print(f"::error::{error}", file=sys.stderr)
        return 1
    say_what_is_left(environment)
    return 0


def find_place(folder: Path, event: dict[str, Any]) -> str:
    """Return "project", "template", or "copy": the template's files on the default branch of a new repository.

    A copy has one commit, so where hooks/ has more, somebody is working on the template.
    """
    if not (folder / "cookiecutter.json").exists():
        return "project"
    repository = event.get("repository", {})
    if repository.get("is_template", True) or repository.get("fork"):
        return "template"
    if event.get("ref") != f"refs/heads/{repository['default_branch']}":
        return "template"
    commits = git(folder, "rev-list", "HEAD", "--", "hooks").split()
    return "copy" if len(commits) == 1 else "template"


def bake(folder: Path, event: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Replace the template's files by the project's, commit that and push it; raise NotBakedError."""
    answers = choose_answers(event, environment)
    print(f"Baking {json.dumps(answers, ensure_ascii=False)}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        project = bake_project(folder, Path(scratch), answers)
        link_to_template(folder, project, environment.get("TEMPLATE_URL", ""), Path(scratch))
        replace_files(folder, project)
    commit(folder, f"Bake {answers['project_name']} from its template\n\n{REPLACE_WORKFLOW}")
    push(folder, event["ref"])


def choose_answers(event: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the answers of the form, else of the repository's variables, else of the event."""
    repository = event["repository"]
    owner = repository["owner"]
    description = repository.get("description") or ""
    if len(description) > MAX_TEXT_LENGTH:
        description = description[: MAX_TEXT_LENGTH - 1].rstrip() + "…"
    answers = {
        "project_name": repository["name"],
        "description": description,
        "author_name": owner["login"],
        "author_email": f"{owner['id']}+{owner['login']}@users.noreply.github.com",
    }
    form = event.get("inputs") or {}
    for question in QUESTIONS:
        chosen = form.get(question, "").strip()
        if chosen in {"", NOT_CHOSEN}:
            chosen = environment.get(question.upper(), "").strip()
        answers |= {question: chosen} if chosen else {}
    return {question: answer for question, answer in answers.items() if answer}


def bake_project(folder: Path, scratch: Path, answers: dict[str, str]) -> Path:
    """Return the project, baked from a clone, which has no leftovers and tells the hook its commit."""
    from cookiecutter.exceptions import CookiecutterException  # noqa: PLC0415 `place` runs without it
    from cookiecutter.main import cookiecutter  # noqa: PLC0415

    template = scratch / "template"
    git(scratch, "clone", "--quiet", str(folder), str(template))
    settings = scratch / "settings.yaml"
    settings.write_text(f"replay_dir: {scratch}\ncookiecutters_dir: {scratch}\n", encoding="utf-8")
    texts = {name: text if name in CHOICES else literal(text) for name, text in answers.items()}
    logging.disable()  # the hook says what is wrong, and a traceback would bury it
    try:
        project = cookiecutter(
            str(template),
            no_input=True,
            extra_context=texts,
            output_dir=str(scratch / "output"),
            config_file=str(settings),
        )
    except (CookiecutterException, ValueError, SystemExit) as error:  # exit: refused_answers.py
        raise NotBakedError(f"There is no project yet: {error}. {REMEDY}") from error
    return Path(project)


def literal(text: str) -> str:
    """Return a template that renders to the text, because cookiecutter renders answers."""
    return '{{ "' + "".join(f"\\U{ord(character):08x}" for character in text) + '" }}'


def link_to_template(folder: Path, project: Path, url: str, scratch: Path) -> None:
    """Make .cruft.json name the template instead of this copy, or remove it and say how to get one."""
    file = project / ".cruft.json"
    origin = find_commit(folder, url, scratch) if url else None
    if origin is None:
        file.unlink()
        print(
            "There is no .cruft.json, because the template's commit is unknown. To get the template's "
            "updates, run in a clone: uvx cruft link <URL of the template> --checkout <its release>"
        )
        return
    state = json.loads(file.read_text(encoding="utf-8"))
    state |= {"template": url, "commit": origin}
    state["context"]["cookiecutter"] |= {"_template": url, "_commit": origin}
    text = json.dumps(state, ensure_ascii=False, indent=2) + "\n"
    file.write_text(text, encoding="utf-8", newline="\n")


def find_commit(folder: Path, url: str, scratch: Path) -> str | None:
    """Return the template's newest commit with the same files as this repository's first commit."""
    (first,) = git(folder, "rev-list", "--max-parents=0", "HEAD").split()
    tree = git(folder, "rev-parse", f"{first}^{{tree}}")
    history = scratch / "history"
    try:
        git(scratch, "clone", "--quiet", "--bare", "--filter=tree:0", url, str(history))
        commits = git(history, "log", "--all", "--format=%H %T").splitlines()
    except subprocess.CalledProcessError:
        return None
    return next((line.split()[0] for line in commits if line.split()[1] == tree), None)


def replace_files(folder: Path, project: Path) -> None:
    """Stage the project's files in place of the template's, but its workflows beside their folder.

    GITHUB_TOKEN may not push a commit that adds, changes or removes a workflow.
    """
    for workflow in (project / WORKFLOWS).iterdir():
        workflow.rename(project / ".github" / workflow.name)
    git(folder, "rm", "-r", "--quiet", "--", ".", f":(exclude){WORKFLOWS}")
    shutil.copytree(project, folder, dirs_exist_ok=True)
    git(folder, "add", "--all")


def commit(folder: Path, message: str) -> None:
    name, email = BOT
    identity = ("-c", f"user.name={name}", "-c", f"user.email={email}")
    git(folder, *identity, "commit", "--quiet", f"--message={message}")
    print(git(folder, "show", "--no-patch", "--format=%h %an: %s", "HEAD"))
    print(git(folder, "diff", "--shortstat", "HEAD^", "HEAD"))


def say_what_is_left(environment: Mapping[str, str]) -> None:
    """Say in the run's annotations, and in its summary, that the workflow is to be replaced by hand."""
    print(f"::notice title=Replace the workflow::Run in a clone, commit and push: {REPLACE}")
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"### The project is baked\n\n{REPLACE_WORKFLOW}")


def push(folder: Path, ref: str) -> None:
    credentials = ("-c", "credential.helper=", "-c", f"credential.helper={CREDENTIALS}")
    try:
        git(folder, *credentials, "push", "--quiet", "origin", f"HEAD:{ref}")
    except subprocess.CalledProcessError as error:
        raise NotBakedError(
            f"The project is baked, but git refused to push it: {error.stderr.strip()!r}. If "
            "somebody pushed in the meantime, the run of that push bakes. If a rule protects the "
            "branch, exempt GitHub Actions from it and run this job again."
        ) from error


def git(folder: Path, *arguments: str) -> str:
    completed = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=folder,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return completed.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd(), os.environ))
