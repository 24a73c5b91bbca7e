"""Turns the freshly baked folder into the chosen variant, without a network or a dependency."""

import json
import os
import re
import runpy
import shlex
import shutil
from pathlib import Path
from typing import Any

# Rendered by cookiecutter into one JSON string, so that no answer can break the Python around it.
ANSWERS = r"""{{ cookiecutter|tojson }}"""

# Without auth, x_without_auth.py takes the place of x.py. Not in folders like .venv.
ALTERNATIVES = ("*_without_auth.*", "[!.]*/**/*_without_auth.*")

# (question, answer): what a project with that answer goes without, as glob patterns.
PRUNE: dict[tuple[str, object], tuple[str, ...]] = {
    ("use_auth", False): (
        "[adst]*/**/auth", "[at]*/**/mail", "[at]*/**/security", "app/core/http/client_info.py", "*/cli/*users.py", "docs/*/000[57]-*", "docs/*/auth-*",
        "docs/*/asvs.md", "deploy/grafana/*/auth.json", *(f"alembic/versions/*_{name}*" for name in ("auth", "role_of", "one_time_tokens", "rate_limits", "user_sessions")),
    ), ("use_auth", True): (*ALTERNATIVES, "app/core/http/gateway.py"),
    ("db_driver", "asyncpg"): ("[at]*/**/*psycopg_driver.py",), ("db_driver", "psycopg"): ("[at]*/**/*asyncpg_driver.py",),
}  # fmt: skip

# Left in the template folder by running it in place, and copied by the bake; and a test that only the template needs.
LEFTOVERS = ".venv uv.lock .env .postgres .coverage .coverage.* htmlcov dist site .cache .hypothesis **/.*_cache **/__pycache__ tests/scaffold/test_posts.py".split()

# Where pre_gen_project.py keeps an existing project, and the file by which this hook knows `-s`: a bake without `-s` overwrites that hook's text ("A bake ...").
BEFORE, SIGN = ".before-bake", "UNFINISHED.md"
AND, quote = ("\n  ", '"{}"'.format) if os.name == "nt" else (" && ", shlex.quote)  # PowerShell 5
NEXT = f"Next:\n  cd %s\n  git init{AND}git add -A{AND}git commit -m Bake\n  uv run app dev"


def main(project: Path, answers: dict[str, Any]) -> None:
    skip = (project / SIGN).exists() and (project / SIGN).read_text("utf-8").startswith("A bake")
    remove(project, SIGN, *LEFTOVERS)
    prune(project, answers)
    name_project(project, answers)
    is_here = Path(os.environ.get("PWD", "")).resolve() == project.parent.resolve()
    if links := "_repo_dir" in answers and "BAKE_WITHOUT_LINK" not in os.environ:
        link(project, answers)
    if links or is_here:  # cruft links by itself, and updates in another folder
        print(NEXT % quote(project.name if is_here else str(project)))
    if (project / BEFORE).exists():
        put_back(project / BEFORE, project, skip=skip)


def link(project: Path, answers: dict[str, Any]) -> None:
    """Have cruft_link.py write .cruft.json; cookiecutter gives the template's path as it was typed."""
    starts = (os.environ.get("PWD", ""), answers.get("_output_dir", ""))
    folders = [Path(start, answers["_repo_dir"]) for start in starts]
    template = next((f for f in folders if any(f.glob("*cookiecutter.project_slug*"))), folders[0])
    try:
        module = runpy.run_path(str(template / "hooks" / "cruft_link.py"))
        module["link_to_template"](project, template, answers)
    except OSError as error:
        print(f"No .cruft.json: git cannot tell the template's commit ({error}). In the project:")
        print(f"  uvx cruft link <URL of the template> --checkout {answers.get('_version')}")


def prune(project: Path, answers: dict[str, Any]) -> None:
    for (question, answer), patterns in PRUNE.items():
        if answers[question] == answer:
            remove(project, *patterns)
    for path in [path for pattern in ALTERNATIVES for path in project.glob(pattern)]:
        text = path.read_text(encoding="utf-8").replace("_without_auth", "")  # in its imports
        chosen = path.replace(path.with_stem(path.stem.removesuffix("_without_auth")))
        chosen.write_text(text, encoding="utf-8", newline="\n")


def name_project(project: Path, answers: dict[str, Any]) -> None:
    """Choose the license, and replace the literals that keep the template folder a valid project."""
    chosen, pyproject = project / f"licenses/{answers['license']}.txt", project / "pyproject.toml"
    if chosen.exists():  # not for Proprietary, and not in a second run
        chosen.replace(project / "LICENSE")
    remove(project, "licenses")
    expression = answers["license"].replace("Proprietary", "LicenseRef-Proprietary")
    text = pyproject.read_text(encoding="utf-8")
    text = text.replace('[project]\nname = "app"', f'[project]\nname = "{answers["project_slug"]}"')
    text = text.replace('email = "you@example.com"', f'email = "{answers["author_email"]}"')
    text = text.replace('\nlicense = "MIT"', f'\nlicense = "{expression}"')
    pyproject.write_text(text, encoding="utf-8", newline="\n")
    readme = project / "README.md"
    text = re.sub(rf".*{SIGN}.*\n\n", "", readme.read_text(encoding="utf-8"))  # the hooks have run
    readme.write_text(text, encoding="utf-8", newline="\n")


def remove(project: Path, *patterns: str) -> None:
    """Remove what matches of the bake, and nothing of what stood in the folder."""
    for path in [path for pattern in patterns for path in project.glob(pattern)]:
        if path.relative_to(project).parts[0] not in {BEFORE, ".git"}:
            delete(path)


def delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_back(before: Path, folder: Path, *, skip: bool) -> None:
    """Move what stood in a folder back, but files that the bake has written only if it skips them."""
    for old in before.iterdir():
        new = folder / old.name
        if old.is_dir() and new.is_dir() and not old.is_symlink():
            put_back(old, new, skip=skip)
        elif skip or not new.exists() or old.is_dir() != new.is_dir():
            delete(new)
            old.rename(new)
        else:
            old.unlink()
    before.rmdir()


if __name__ == "__main__":
    main(Path.cwd(), json.loads(ANSWERS))
