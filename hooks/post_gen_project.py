"""Makes the chosen variant of the baked project: removes what the answers do not want.

Works offline with the standard library alone, and finds nothing left to do when it runs again.
Cookiecutter renders this file, so ANSWERS is one JSON string: whatever an answer holds,
it cannot break the Python around it.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ANSWERS = r"""{{ cookiecutter|tojson }}"""

# (question, answer): the paths, as glob patterns, that a project with that answer does without.
PRUNE: dict[tuple[str, object], tuple[str, ...]] = {
    ("use_auth", False): (
        "app/cli/users.py",
        "app/core/audit.py",
        "app/core/client.py",
        "app/core/common_passwords.*",
        "app/core/mail.py",
        "app/core/password_rules.py",
        "app/core/passwords.py",
        "app/core/tokens.py",
        "app/core/transport.py",
        "app/core/user_settings.py",
        "app/dependencies/accounts.py",
        "app/dependencies/auth.py",
        "app/dependencies/client.py",
        "app/dependencies/outbox.py",
        "app/mail_templates/*",
        "app/mail_templates",  # empty by then
        "app/models/one_time_token.py",
        "app/models/rate_limit.py",
        "app/models/user_session.py",
        "app/repositories/account_repo.py",
        "app/repositories/one_time_token_repo.py",
        "app/repositories/rate_limit_repo.py",
        "app/repositories/user_session_repo.py",
        "app/routes/access.py",
        "app/routes/auth.py",
        "app/routes/recovery.py",
        "app/schemas/account.py",
        "app/schemas/password.py",
        "app/schemas/token.py",
        "app/services/access_service.py",
        "app/services/attempts.py",
        "app/services/auth_service.py",
        "app/services/email_service.py",
        "app/services/one_time_token_service.py",
        "app/services/password_service.py",
        "app/services/permissions.py",
        "app/services/rate_limit_service.py",
        "app/services/refresh_service.py",
        "app/services/registration_service.py",
        "app/services/session_service.py",
        "app/services/sign_in_service.py",
        "alembic/versions/*_add_auth_columns_to_users.py",
        "alembic/versions/*_add_one_time_tokens_table.py",
        "alembic/versions/*_add_rate_limits_table.py",
        "alembic/versions/*_add_user_sessions_table.py",
        "alembic/versions/*_merge_auth_revisions.py",
        "alembic/versions/*_validate_role_of_users.py",
        "docs/decisions/0005-tokens-and-sessions.md",
        "docs/decisions/0007-no-cookies.md",
        "tests/accounts.py",
        "tests/cli/test_users.py",
        "tests/core/test_audit.py",
        "tests/core/test_client.py",
        "tests/core/test_common_passwords.py",
        "tests/core/test_mail.py",
        "tests/core/test_passwords.py",
        "tests/core/test_tokens.py",
        "tests/core/test_transport.py",
        "tests/dependencies/*",
        "tests/dependencies",
        "tests/routes/test_access.py",
        "tests/routes/test_auth.py",
        "tests/routes/test_authorization.py",
        "tests/routes/test_recovery.py",
        "tests/routes/test_registration.py",
        "tests/secrets_in_logs.py",
        "tests/services/test_rate_limit_service.py",
        "tests/smtp.py",
        "tests/test_enumeration_by_time.py",
        "tests/test_red_team.py",
        "tests/test_secrets_in_logs.py",
    ),
    ("db_driver", "asyncpg"): ("app/core/drivers/psycopg_driver.py",),
    ("db_driver", "psycopg"): ("app/core/drivers/asyncpg_driver.py",),
}

# What running the template folder in place leaves behind, and the bake has then copied.
LEFTOVERS = (
    ".venv", "uv.lock", ".env", ".postgres", ".coverage", ".coverage.*", "htmlcov", "dist",
    ".hypothesis", "**/.*_cache", "**/__pycache__",
)  # fmt: skip

PROPRIETARY = "Proprietary"

# A bake that a git hook starts would ask the repository of that hook.
GIT_STEERING = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}


def main(project: Path, answers: dict[str, Any]) -> None:
    """Turn the freshly baked folder `project` into the variant that `answers` ask for."""
    template = find_template(answers)
    if template:
        remove_leftovers(project, template)
    prune(project, answers)
    choose_license(project, answers["license"])
    name_project(project / "pyproject.toml", answers)
    if "_repo_dir" in answers:  # else cruft bakes, and writes the file itself
        link_to_template(project, template, answers)


def find_template(answers: dict[str, Any]) -> Path | None:
    """Return the folder baked from, or None: cookiecutter tells it as it was typed, and cruft not at all."""
    if "_repo_dir" not in answers:
        return None
    for working_folder in (os.environ.get("PWD", ""), answers.get("_output_dir", "")):
        folder = Path(working_folder, answers["_repo_dir"])
        if folder.is_absolute() and any(folder.glob("*cookiecutter.project_slug*")):
            return folder
    return None


def remove_leftovers(project: Path, template: Path) -> None:
    """Remove what came from the template folder, never what a project baked earlier has made itself."""
    for source in template.glob("*cookiecutter.project_slug*"):
        for pattern in LEFTOVERS:
            for leftover in source.glob(pattern):
                remove(project / leftover.relative_to(source))


def prune(project: Path, answers: dict[str, Any]) -> None:
    for (question, answer), patterns in PRUNE.items():
        if answers[question] == answer:
            for pattern in patterns:
                for path in list(project.glob(pattern)):
                    remove(path)


def choose_license(project: Path, name: str) -> None:
    texts = project / "licenses"
    if texts.is_dir() and name != PROPRIETARY:
        (texts / f"{name}.txt").replace(project / "LICENSE")
    remove(texts)


def name_project(pyproject: Path, answers: dict[str, Any]) -> None:
    """Replace the literals that keep the template folder itself a valid project."""
    license_expression = answers["license"].replace(PROPRIETARY, f"LicenseRef-{PROPRIETARY}")
    text = pyproject.read_text(encoding="utf-8")
    text = text.replace(
        '[project]\nname = "app"\n', f'[project]\nname = "{answers["project_slug"]}"\n'
    )
    text = text.replace('email = "you@example.com"', f'email = "{answers["author_email"]}"')
    text = text.replace('\nlicense = "MIT"\n', f'\nlicense = "{license_expression}"\n')
    pyproject.write_text(text, encoding="utf-8", newline="\n")


def link_to_template(project: Path, template: Path | None, answers: dict[str, Any]) -> None:
    """Write the .cruft.json that `cruft update` needs, or say why there is none and what to do."""
    try:
        state = describe_origin(template, answers)
    except (OSError, subprocess.CalledProcessError):
        print(
            "There is no .cruft.json, for git does not know the template's commit. To have the "
            "template's updates, run in the project: "
            f"uvx cruft link <URL of the template> --checkout {answers.get('_version')}"
        )
        return
    text = json.dumps(state, ensure_ascii=False, indent=2)
    (project / ".cruft.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def describe_origin(template: Path | None, answers: dict[str, Any]) -> dict[str, Any]:
    """Return what `cruft create` would have written; raise where git is missing or has no commit."""
    if template is None:
        raise FileNotFoundError(answers["_repo_dir"])
    git(template, "ls-files", "--error-unmatch", "cookiecutter.json")
    if git(template, "status", "--porcelain", "--", "."):
        print(
            "The template holds changes that are not committed: .cruft.json names the commit "
            "before them, and an update will bring them again."
        )
    commit = git(template, "rev-parse", "HEAD")
    url = find_url(template, answers)
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    context = {name: answers[name] for name in questions if name in answers}
    # Where nothing was asked, the question's own value: rendering has sorted what is inside it.
    context |= {name: value for name, value in questions.items() if context.get(name) == value}
    return {
        "template": url,
        "commit": commit,
        "checkout": answers.get("_checkout"),
        "context": {"cookiecutter": context | {"_template": url, "_commit": commit}},
        "directory": git(template, "rev-parse", "--show-prefix").rstrip("/") or None,
    }


def find_url(template: Path, answers: dict[str, Any]) -> str:
    """Return what cruft can clone: an abbreviation of cookiecutter's means nothing to it."""
    if answers["_repo_dir"].startswith(answers["_template"]):  # baked from a folder in place
        return git(template, "rev-parse", "--show-toplevel")
    url = git(template, "remote", "get-url", "origin")
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"}:  # others read the project, too: no password in it
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return url


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; raise OSError without git, CalledProcessError where it fails."""
    environment = {name: text for name, text in os.environ.items() if name not in GIT_STEERING}
    completed = subprocess.run(  # noqa: S603
        ["git", "-C", str(folder), *arguments],  # noqa: S607
        env=environment,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return completed.stdout.strip()


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path.cwd(), json.loads(ANSWERS))
