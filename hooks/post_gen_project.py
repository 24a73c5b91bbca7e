"""Makes the chosen variant of the baked project: removes what the answers do not want.

Works offline with the standard library alone, and finds nothing left to do when it runs again.
Cookiecutter renders this file, so ANSWERS is one JSON string: whatever an answer holds,
it cannot break the Python around it.
"""

import json
import shutil
from pathlib import Path
from typing import Any

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


def main(project: Path, answers: dict[str, Any]) -> None:
    """Turn the freshly baked folder `project` into the variant that `answers` ask for."""
    remove_leftovers(project, Path(answers.get("_repo_dir", "")))  # cruft does not say
    prune(project, answers)
    choose_license(project, answers["license"])
    name_project(project / "pyproject.toml", answers)


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


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path.cwd(), json.loads(ANSWERS))
