"""Turns the freshly baked folder into the chosen variant, without a network or a dependency."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

# Rendered by cookiecutter into one JSON string, so that no answer can break the Python around it.
ANSWERS = r"""{{ cookiecutter|tojson }}"""

# Without auth, x_without_auth.py takes the place of x.py. Not in folders like .venv.
ALTERNATIVES = ("*_without_auth.*", "[!.]*/**/*_without_auth.*")

# (question, answer): what a project with that answer goes without, as glob patterns.
PRUNE: dict[tuple[str, object], tuple[str, ...]] = {
    ("use_auth", False): (
        "[at]*/**/auth", "[at]*/**/mail", "[at]*/**/security", "app/core/http/client*.py", "*/cli/*users.py",
        "alembic/versions/*_auth_*", "alembic/versions/*_role_of_*", "alembic/versions/*_one_time_tokens_*",
        "alembic/versions/*_rate_limits_*", "alembic/versions/*_user_sessions_*", "docs/*/000[57]-*", "docs/*/asvs.md",
    ),
    ("use_auth", True): (*ALTERNATIVES, "app/core/http/gateway.py"),
    ("db_driver", "asyncpg"): ("app/**/psycopg_driver.py",), ("db_driver", "psycopg"): ("app/**/asyncpg_driver.py",),
}  # fmt: skip

# Left in the template folder by running it in place, and copied by the bake; and what says that no hook ran.
LEFTOVERS = "UNFINISHED.md .venv uv.lock .env .postgres .coverage .coverage.* htmlcov dist .hypothesis **/.*_cache **/__pycache__".split()


def main(project: Path, answers: dict[str, Any]) -> None:
    template = find_template(answers) if "_repo_dir" in answers else None
    source = next(template.glob("*cookiecutter.project_slug*"), project) if template else project
    remove(project, LEFTOVERS, found_in=source)
    prune(project, answers, source)
    name_project(project, answers, source)
    if template and "BAKE_WITHOUT_LINK" not in os.environ:  # None is cruft, which links by itself
        link_to_template(project, template, answers)
        steps = "git init && git add -A && git commit -m Bake && uv run app dev"
        print(f"Next: cd {project.name} && {steps}")


def find_template(answers: dict[str, Any]) -> Path:
    """Return the template's folder; cookiecutter gives the path as it was typed, often a relative one."""
    starts = (os.environ.get("PWD", ""), answers.get("_output_dir", ""))
    folders = [Path(start, answers["_repo_dir"]) for start in starts]
    return next((f for f in folders if any(f.glob("*cookiecutter.project_slug*"))), folders[0])


def link_to_template(project: Path, template: Path, answers: dict[str, Any]) -> None:
    """Write the same .cruft.json as `cruft create`, or say how to get one."""
    try:
        git(template, "ls-files", "--error-unmatch", "cookiecutter.json")
        commit = git(template, "rev-parse", "HEAD")
        in_place = answers["_repo_dir"].startswith(answers["_template"])  # else baked from a clone
        origin = ("rev-parse", "--show-toplevel") if in_place else ("remote", "get-url", "origin")
        url = re.sub("^(https?://)[^/]*@", r"\1", git(template, *origin))  # without a password
        directory = git(template, "rev-parse", "--show-prefix").rstrip("/") or None
        if git(template, "status", "--porcelain", "--", "."):
            print("The template has changes that are not committed: an update will repeat them.")
    except (OSError, subprocess.CalledProcessError):
        link = f"uvx cruft link <URL of the template> --checkout {answers.get('_version')}"
        print(f"No .cruft.json: git or the template's commit is missing. To get updates: {link}")
        return
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    context = {name: answers[name] for name in questions if name in answers}
    context |= {n: v for n, v in questions.items() if context.get(n) == v}  # with its keys unsorted
    state = {"template": url, "commit": commit, "checkout": answers.get("_checkout")}
    state["context"] = {"cookiecutter": context | {"_template": url, "_commit": commit}}
    text = json.dumps(state | {"directory": directory}, ensure_ascii=False, indent=2)
    (project / ".cruft.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def prune(project: Path, answers: dict[str, Any], source: Path) -> None:
    for (question, answer), patterns in PRUNE.items():
        if answers[question] == answer:
            remove(project, patterns, found_in=source)
    paths = [project / p.relative_to(source) for glob in ALTERNATIVES for p in source.glob(glob)]
    for path in filter(Path.exists, paths):
        text = path.read_text(encoding="utf-8").replace("_without_auth", "")  # in its imports
        chosen = path.replace(path.with_stem(path.stem.removesuffix("_without_auth")))
        chosen.write_text(text, encoding="utf-8", newline="\n")


def name_project(project: Path, answers: dict[str, Any], source: Path) -> None:
    """Choose the license, and replace the literals that keep the template folder a valid project."""
    chosen, pyproject = project / f"licenses/{answers['license']}.txt", project / "pyproject.toml"
    if chosen.exists():  # not for Proprietary, and not in a second run
        chosen.replace(project / "LICENSE")
    remove(project, ("licenses",), found_in=source)
    expression = answers["license"].replace("Proprietary", "LicenseRef-Proprietary")
    text = pyproject.read_text(encoding="utf-8")
    text = text.replace('[project]\nname = "app"', f'[project]\nname = "{answers["project_slug"]}"')
    text = text.replace('email = "you@example.com"', f'email = "{answers["author_email"]}"')
    text = text.replace('\nlicense = "MIT"', f'\nlicense = "{expression}"')
    pyproject.write_text(text, encoding="utf-8", newline="\n")


def remove(project: Path, patterns: tuple[str, ...] | list[str], *, found_in: Path) -> None:
    """Remove what the bake has written of the paths that match in `found_in`, but no file of a team."""
    for match in [match for pattern in patterns for match in found_in.glob(pattern)]:
        tree = os.walk(match, topdown=False, followlinks=found_in != project)  # as the bake does
        for path in [*(Path(at, name) for at, dirs, names in tree for name in names + dirs), match]:
            written = project / path.relative_to(found_in)
            if not written.is_dir() or written.is_symlink():
                written.unlink(missing_ok=True)
            elif not any(written.iterdir()):
                written.rmdir()


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; raise OSError without git, CalledProcessError where it fails."""
    steering = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}  # set where a git hook bakes
    env = {name: text for name, text in os.environ.items() if name not in steering}
    command, quiet = ["git", "-C", str(folder), *arguments], subprocess.DEVNULL
    return subprocess.check_output(command, env=env, stderr=quiet, encoding="utf-8").strip()


if __name__ == "__main__":
    main(Path.cwd(), json.loads(ANSWERS))
