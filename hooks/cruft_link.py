"""Links a project that cookiecutter bakes to its template. Run by post_gen_project.py, from the template."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any


def link_to_template(project: Path, template: Path, answers: dict[str, Any]) -> None:
    """Write the same .cruft.json as `cruft create`. Raises OSError, which says why, if git cannot tell the commit."""
    git(template, "ls-files", "--error-unmatch", "cookiecutter.json")
    commit = git(template, "rev-parse", "HEAD")
    in_place = answers["_repo_dir"].startswith(answers["_template"])  # else baked from a clone
    origin = ("rev-parse", "--show-toplevel") if in_place else ("remote", "get-url", "origin")
    url = re.sub("^(https?://)[^/]*@", r"\1", git(template, *origin))  # without a password
    directory = git(template, "rev-parse", "--show-prefix").rstrip("/") or None
    if git(template, "status", "--porcelain", "--", "."):
        print("The template has changes that are not committed: an update will repeat them.")
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    context = {name: answers[name] for name in questions if name in answers}
    context |= {n: v for n, v in questions.items() if context.get(n) == v}  # with its keys unsorted
    state = {"template": url, "commit": commit, "checkout": answers.get("_checkout")}
    state["context"] = {"cookiecutter": context | {"_template": url, "_commit": commit}}
    text = json.dumps(state | {"directory": directory}, ensure_ascii=False, indent=2)
    (project / ".cruft.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; raise OSError where there is no git, or where it fails, with what it says."""
    steering = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}  # set where a git hook bakes
    env = {name: text for name, text in os.environ.items() if name not in steering}
    command = ["git", "-C", str(folder), *arguments]
    completed = subprocess.run(command, env=env, capture_output=True, check=False)
    if completed.returncode:
        raise OSError(" ".join(completed.stderr.decode(errors="replace").split()))
    return completed.stdout.decode().strip()
