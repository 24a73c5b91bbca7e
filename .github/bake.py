# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7.1"]
# ///
"""Turns a repository made by GitHub's "Use this template" into the project, in one commit.

The workflow CI calls it: `bake.py place` prints where the workflow stands, `bake.py` bakes, commits
and pushes. The commit removes this file with all else that is the template's alone.
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

# Each can be given in the form of "Run workflow", or as a repository variable of this name in capitals.
QUESTIONS = (
    "project_name", "project_slug", "description", "author_name", "author_email", "db_driver", "use_auth", "license",
)  # fmt: skip
CHOICES = ("db_driver", "use_auth", "license")
NOT_CHOSEN = "default"

# GitHub takes 350 characters for a description, and hooks/pre_gen_project.py fewer.
MAX_TEXT_LENGTH = 200

BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
WORKFLOWS = ".github/workflows"

# The token is read from the environment when git asks: an argument would show in the list of processes.
CREDENTIALS = '!f() { echo username=x-access-token; echo "password=$GH_TOKEN"; }; f'

REMEDY = (
    "Answer otherwise: run the workflow CI by hand (Actions, CI, Run workflow), or set a repository "
    f"variable (Settings, Secrets and variables, Actions), one of {', '.join(QUESTIONS).upper()}, "
    "and run this job again."
)


class NotBakedError(Exception):
    """Says in whole sentences why there is no project, and what to do."""


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
    return 0


def find_place(folder: Path, event: dict[str, Any]) -> str:
    """Return "project", "template", or "copy": the template's files on the default branch of a new repository.

    GitHub begins the history of a copy anew. Where hooks/ has a history, somebody works on the template.
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
    commit(folder, f"Bake {answers['project_name']} from its template")
    push(folder, event["ref"])


def choose_answers(event: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the form says, else the repository's variables, else the event; cookiecutter knows the rest."""
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
    """Return the project, baked from a clone: the hook reads the commit from it, and no file is left over."""
    from cookiecutter.exceptions import CookiecutterException  # noqa: PLC0415 `place` goes without
    from cookiecutter.main import cookiecutter  # noqa: PLC0415

    template = scratch / "template"
    git(scratch, "clone", "--quiet", str(folder), str(template))
    settings = scratch / "settings.yaml"
    settings.write_text(f"replay_dir: {scratch}\ncookiecutters_dir: {scratch}\n", encoding="utf-8")
    texts = {name: text if name in CHOICES else literal(text) for name, text in answers.items()}
    logging.disable()  # the hook itself says what is wrong; a traceback would bury that
    try:
        project = cookiecutter(
            str(template),
            no_input=True,
            extra_context=texts,
            output_dir=str(scratch / "output"),
            config_file=str(settings),
        )
    except (CookiecutterException, ValueError) as error:
        raise NotBakedError(f"There is no project yet: {error}. {REMEDY}") from error
    return Path(project)


def literal(text: str) -> str:
    """Return the text so that cookiecutter, which renders answers, finds no template in it."""
    return '{{ "' + "".join(f"\\U{ord(character):08x}" for character in text) + '" }}'


def link_to_template(folder: Path, project: Path, url: str, scratch: Path) -> None:
    """Have .cruft.json name the template rather than this copy of it, or remove it and say what to do."""
    file = project / ".cruft.json"
    origin = find_commit(folder, url, scratch) if url else None
    if origin is None:
        file.unlink()
        print(
            "There is no .cruft.json, for the template's commit is not known. To have the template's "
            "updates, run in a clone: uvx cruft link <URL of the template> --checkout <its release>"
        )
        return
    state = json.loads(file.read_text(encoding="utf-8"))
    state |= {"template": url, "commit": origin}
    state["context"]["cookiecutter"] |= {"_template": url, "_commit": origin}
    text = json.dumps(state, ensure_ascii=False, indent=2) + "\n"
    file.write_text(text, encoding="utf-8", newline="\n")


def find_commit(folder: Path, url: str, scratch: Path) -> str | None:
    """Return the template's newest commit that has the files which this repository began with."""
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
    """Stage the project's files in place of the template's; raise NotBakedError if a workflow would change.

    GITHUB_TOKEN may not push a change of a workflow, so the project's have to be there already.
    """
    git(folder, "rm", "-r", "--quiet", "--", ".", f":(exclude){WORKFLOWS}")
    shutil.copytree(project, folder, dirs_exist_ok=True)
    git(folder, "add", "--all")
    changed = git(folder, "diff", "--cached", "--name-only", "--", WORKFLOWS)
    if changed:
        git(folder, "reset", "--hard", "--quiet")
        raise NotBakedError(
            f"There is no project yet: {changed.split()} differ from the project's, and this token "
            "may not change workflows. Bake on your own machine (README.md), or make them equal."
        )


def commit(folder: Path, message: str) -> None:
    name, email = BOT
    identity = ("-c", f"user.name={name}", "-c", f"user.email={email}")
    git(folder, *identity, "commit", "--quiet", f"--message={message}")
    print(git(folder, "show", "--no-patch", "--format=%h %an: %s", "HEAD"))
    print(git(folder, "diff", "--shortstat", "HEAD^", "HEAD"))


def push(folder: Path, ref: str) -> None:
    credentials = ("-c", "credential.helper=", "-c", f"credential.helper={CREDENTIALS}")
    try:
        git(folder, *credentials, "push", "--quiet", "origin", f"HEAD:{ref}")
    except subprocess.CalledProcessError as error:
        raise NotBakedError(
            f"The project is baked, but git refused to push it: {error.stderr.strip()!r}. If "
            "somebody has pushed meanwhile, the run of that push bakes. If a rule protects the "
            "branch, let GitHub Actions pass it, and run this job again."
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
