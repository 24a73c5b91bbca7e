"""Every variant, baked: complete, free of what it does not want, and passing its own checks and suite."""

import random
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from baking import ROOT, TEMPLATE_FOLDER, bake, made_once, run, run_check, run_suite, run_uv
from parameters import FIRST_AND_LAST, in_each_run
from post_gen_project import PRUNE
from postgres import scratch_database
from variants import VARIANTS, Variant

CHECKS = [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",), ("lint-imports",)]
# For projects much of which another test type-checks in each run.
QUICK_CHECKS_FIRST = [
    pytest.param(check, id=" ".join(check), marks=pytest.mark.slow if check == ("mypy",) else ())
    for check in CHECKS
]
DRIVERS = ("asyncpg", "psycopg")

# The embedded server is for development, so the one module that starts it needs what a wheel does not.
DEVELOPMENT_MODULES = {"app.cli.embedded_postgres"}
# Those that need an extra, of which the settings say whether they are imported.
OPTIONAL_MODULES = {"app.core.observability.sentry", "app.core.observability.tracing"}
EXTRAS = "[sentry,telemetry]"

# A value for each setting that a project cannot do without.
SETTINGS = {
    "DATABASE_URL": "postgresql://app@localhost/app",
    "SECRET_KEY": "b7e1c3f09a5d48e26c8f1b3d7a9e0c52",
}

# Python in documents has two blank lines between functions.
FENCES = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)

TEMPLATE_LANGUAGE = re.compile(r"{%|%}|{{ ?cookiecutter")

# Without auth a project has no word of it, nor of what serves auth alone. A password of the database
# server is not auth, nor is an author or an authority.
AUTH_WORDS = re.compile(
    r"(?<!postgres_)(?<!pg)(?<!hide_)(?<!url\.)passw|token|(?<!database )(?<!alter )\brole|jwt|oauth|bearer|argon2|pwdlib|administrator|smtp|mailer|(?<!e)mail_|outbox|rate.?limit|(?<!attestation )verif|invit|audit|sign.?in|signed.in\b|one.time|user.?agent|cookies"
    r"|(?<![a-z])auth(?!or)|authori[sz]",
    re.IGNORECASE,
)

# Where a project without auth has such a word all the same, and in which meaning.
OTHER_MEANINGS = {
    # The header `Authorization`: pages of other origins may send it, and the responses are not stored.
    ".env.example": r"\bauthorization\b|www-authenticate",
    "app/core/caller_settings.py": r"\bauthorization\b",
    "app/core/config.py": r"\bauthorization\b|www-authenticate",
    "app/core/http/cross_origin.py": r"cookies",
    "tests/platform/http/test_transport.py": r"\bauthorization\b",
    # The URLs of security schemes, of which this variant declares none.
    "app/core/http/openapi.py": r"token_?urls?|refreshUrl|authorizationUrl",
    # An example of 401, and its header.
    "app/core/http/problem_declarations.py": r"Not authenticated|www-authenticate|how to authenticate",
    # A random value for a setting that is required.
    "app/cli/routes.py": r"token_urlsafe",
    # The role by which the database knows the service.
    "app/cli/main.py": r"role_limits|\brole\b|\bpassword\b",
    "tests/cli/test_doctor.py": r"\bpassword\b|(drop|for) role",
    "app/core/database/role_limits.py": r"\brole(_limits)?\b",
    "tests/platform/database/test_role_limits.py": r"\brole(_limits)?\b|_role_limits",
    # How the certificate of PostgreSQL is checked, and passwords of the database.
    "README.md": r"\bverify-full\b|\bpasswords\b",
    "app/core/database/drivers/__init__.py": r"verify-\w+",
    # A right of Kubernetes that pods do without.
    "deploy/kubernetes/base/deployment.yaml": r"automountServiceAccountToken",
    "deploy/kubernetes/base/migration.yaml": r"automountServiceAccountToken",
    "deploy/kubernetes/base/worker.yaml": r"automountServiceAccountToken",
    "tests/platform/test_kubernetes.py": r"automountServiceAccountToken",
    # The secret that processes of `multiprocessing` share.
    "app/core/observability/metrics/folder.py": r"\bauthkey\b",
    "docs/decisions/0012-metrics.md": r"\bauthkey\b",
    # Passwords of PostgreSQL and of Grafana.
    "compose.yaml": r"GF_SECURITY_ADMIN_PASSWORD|GRAFANA_PASSWORD",
    "deploy/pgbouncer/Dockerfile": r"\bpassword\b",
    "deploy/pgbouncer/pgbouncer.ini": r"\bauth_(type|file)\b",
    "docs/deployment.md": r"\bpasswords?\b|GRAFANA_PASSWORD",
    "app/core/database/drivers/asyncpg_driver.py": r"\b(ssl)?pass(word|file)\b|verify-\w+|verified server",
    "app/core/database/drivers/psycopg_driver.py": r"\bpass(word|file)\b",
    "tests/platform/database/test_causes.py": r"\w*password\w*|auth_method|authentication",
    "tests/platform/database/test_tls.py": r"verif(y|ied)(-\w+|_mode)?|authority",
    "tests/platform/database/test_url_parameters.py": r"pass(word|file)\w*|verify[_-]\w+",
    # Reserved words of SQL.
    "scaffold/taken.py": r"\bauthorization\b|\bcurrent_role\b",
    # A file in the specification that a record names.
    "tests/platform/test_documents.py": r"dependencies/auth\.py",
    # The same role and its password.
    "app/core/database/grants.py": r"\brole\b|\bpassword\b|_SET_VERIFIER|(scram_)?verifier",
    "app/core/database/scram.py": r"\brole\b|\\?\bpasswords?\b|pg_authid|rolpassword|(scram_)?verifiers?\b|signs in|token_bytes",
    "tests/migrations/test_add_trigram_index_of_users.py": r"\brole\b|role=",
    "tests/platform/database/test_grants.py": r"\b(the_)?roles?\b|\bpassword\b|role_(reads|that|is|limits)|(new|test)_password|of_the_role|passwd|scram_verifier|test_verifier|test_password_is",
    "tests/platform/database/test_constraints.py": r"\brole\b|\bpassword=",
    "docs/security/runbooks.md": r"\\password\b|\bPASSWORD\b",
    # The role of the database whom policies bind, a password of it, and the header.
    "docs/recipes/tenants.md": r"\brole\b",
    "docs/recipes/tenants.patch": r"\brole\b|test_wrong_password_\w+|\bpassword=|\bAuthorization\b",
    # The tokens of Python's source.
    "tests/platform/interfaces.py": r"tokeni[sz]e|\btokens?\b|generate_tokens",
}

IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys, app
for module in pkgutil.walk_packages(app.__path__, "app."):
    if module.name not in sys.argv:
        importlib.import_module(module.name)
        print(module.name)
"""


def migrate_and_back(project: Path, database_server: str) -> None:
    """Run all migrations of a project, compare what they make with the models, and undo them."""
    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project, "app", "migrate", env=env)
        run(project, "alembic", "check", env=env)
        run(project, "alembic", "downgrade", "base", env=env)


@dataclass(frozen=True)
class Project:
    variant: Variant
    path: Path
    files: frozenset[str]  # as baked: without what the project's commands have made since

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")


@pytest.fixture(
    scope="session",
    params=[pytest.param(variant, id=variant.name) for variant in VARIANTS],
)
def project(request: pytest.FixtureRequest, template: Path, workspace: Path) -> Project:
    return baked_once(request.param, template, workspace)


def baked_once(variant: Variant, template: Path, workspace: Path) -> Project:
    """Return a baked project; a variant's tests share one, and with it one environment."""

    def make(output_dir: Path) -> tuple[str, list[str]]:
        path = bake(template, output_dir, db_driver=variant.db_driver, use_auth=variant.use_auth)
        return str(path), sorted(list_files(path))

    path, names = made_once(workspace / variant.name, make)
    return Project(variant, Path(path), frozenset(names))


@pytest.fixture(scope="session")
def unrendered(template: Path, workspace: Path) -> Path:
    """Return a copy of the template folder, to be used in place as if it had been baked."""
    folder = template / TEMPLATE_FOLDER

    def make(output_dir: Path) -> str:
        return str(shutil.copytree(folder, output_dir / TEMPLATE_FOLDER))

    return Path(made_once(workspace / "unrendered", make))


def list_files(folder: Path) -> frozenset[str]:
    return frozenset(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_files_are_those_of_the_variant(project: Project, template: Path) -> None:
    folder = template / TEMPLATE_FOLDER
    answers = {"db_driver": project.variant.db_driver, "use_auth": project.variant.use_auth}
    unwanted = {
        path.relative_to(folder)
        for (question, answer), patterns in PRUNE.items()
        if answers[question] == answer
        for pattern in patterns
        for path in folder.glob(pattern)
    }
    wanted = {
        name.replace("_without_auth.", ".")
        for name in list_files(folder)
        if not unwanted & {Path(name), *Path(name).parents}
    }
    wanted = {name for name in wanted if not name.startswith("licenses/")} | {"LICENSE"}
    assert project.files == wanted - {"UNFINISHED.md", "tests/scaffold/test_posts.py"}


def test_no_template_language_is_left(project: Project) -> None:
    for name in project.files:
        assert not TEMPLATE_LANGUAGE.search(name)
        assert not TEMPLATE_LANGUAGE.search(project.read(name)), name


def test_tags_leave_no_second_blank_line(project: Project) -> None:
    for name in project.files:
        if name.endswith((".md", ".yaml")):
            text = FENCES.sub("code", project.read(name))
            assert "\n\n\n" not in text, name
            assert not text.endswith("\n\n"), name


def test_no_word_of_what_the_variant_does_without(project: Project) -> None:
    (other_driver,) = set(DRIVERS) - {project.variant.db_driver}
    unwanted = [re.compile(rf"{other_driver}(?!2)", re.IGNORECASE)]  # psycopg2 is no variant's
    if not project.variant.use_auth:
        unwanted.append(AUTH_WORDS)
    found = [
        f"{name}: {line.strip()}"
        for name in sorted(project.files)
        if not name.startswith(
            ".github/workflows/"
        )  # it is the same for all, with tokens of its own
        for line in (name, *project.read(name).splitlines())
        if any(words.search(without_other_meanings(line, name)) for words in unwanted)
    ]
    assert not found, "\n".join(found)


def without_other_meanings(line: str, name: str) -> str:
    meanings = OTHER_MEANINGS.get(name)
    return re.sub(meanings, "", line, flags=re.IGNORECASE) if meanings else line


@pytest.mark.parametrize("check", CHECKS, ids=" ".join)
def test_check_passes(project: Project, workspace: Path, check: tuple[str, ...]) -> None:
    run_check(project.path, workspace, *check)


def test_tags_leave_no_scars(project: Project, template: Path) -> None:
    """What a tag took out of a list leaves no comma behind that keeps the list open.

    Tests may keep lists open by a comma, but not in files that hold tags or lose `_without_auth`.
    """
    folder = template / TEMPLATE_FOLDER
    names = {
        path.relative_to(folder).as_posix().replace("_without_auth", "")
        for path in (folder / "tests").rglob("*.py")
        if TEMPLATE_LANGUAGE.search(path.read_text(encoding="utf-8"))
        or (not project.variant.use_auth and "_without_auth" in path.name)
    }
    without_magic_commas = ("--config", "format.skip-magic-trailing-comma=true")
    checked = ("app", *sorted(names & project.files))
    run(project.path, "ruff", "format", "--check", *without_magic_commas, *checked)


def test_migrations_make_what_the_models_say(project: Project, database_server: str) -> None:
    with scratch_database(database_server) as url:
        env = SETTINGS | {"DATABASE_URL": url}
        run(project.path, "app", "migrate", env=env)
        run(project.path, "alembic", "check", env=env)


# The first variant runs every test. The last, whose driver and auth are the other ones, leaves out what
# depends on neither answer; the two between them what depends on one alone, which a test below proves of
# the packages. Endpoints, rows and migrations depend on both, but see LONG.
SAME_FOR_ALL = (
    "tests/platform/http/test_large_bodies.py", "tests/platform/http/test_limits.py", "tests/platform/observability",
    *(
        f"tests/platform/test_{subject}.py"
        for subject in ("kubernetes", "migration_lint", "pagination", "runners", "server", "types")
    ),
)  # fmt: skip
SAME_FOR_BOTH_DRIVERS = (
    "tests/cli", "tests/platform/auth", "tests/platform/http", "tests/platform/mail",
    "tests/platform/observability", "tests/platform/security", "tests/platform/test_config.py",
    "tests/platform/test_documented_commands.py", "tests/platform/test_documents.py", "tests/platform/test_interfaces.py",
    "tests/platform/test_kubernetes.py", "tests/platform/test_migration_lint.py",
    "tests/platform/test_pagination.py", "tests/platform/test_runners.py",
    "tests/platform/test_server.py", "tests/platform/test_types.py", "tests/scaffold", "tests/test_architecture.py",
)  # fmt: skip
SAME_WITHOUT_AUTH = (
    "tests/platform/jobs",
    *(
        f"tests/platform/database/test_{subject}.py"
        for subject in (
            "budget", "constraints", "event_loop", "grants", "isolation", "pool", "pooler", "readiness",
            "replica", "role_limits", "second_connection", "streams", "tls", "url_parameters",
            "waiting_for_a_connection",
        )
    ),
)  # fmt: skip
OF_ONE_ANSWER = (*SAME_FOR_BOTH_DRIVERS, *SAME_WITHOUT_AUTH)
OMITTED = dict(zip(VARIANTS, ((), OF_ONE_ANSWER, OF_ONE_ANSWER, SAME_FOR_ALL), strict=True))

# What takes most of the rest of the time, and rarely fails in one variant alone, is left to those marked `slow`.
LONG = (
    "tests/platform/database/test_autogenerate.py", "tests/migrations/test_revisions.py", "tests/platform/test_garbage.py",
    "tests/test_contract.py",
)  # fmt: skip
LONG_COMMANDS = ("tests/cli", "tests/platform/test_config.py", "tests/scaffold")
LONG_IN_ANY = (
    "tests/cli/test_dev.py", "tests/platform/auth/test_enumeration_by_time.py",
    "tests/platform/http/test_large_bodies.py", "tests/platform/test_runners.py",
    "tests/scaffold/test_commands.py", "tests/scaffold/test_recipes.py",
)  # fmt: skip
DEFERRED = dict(zip(VARIANTS, (LONG_IN_ANY, LONG, LONG, (*LONG, *LONG_COMMANDS)), strict=True))


def test_suite_passes(project: Project, record_property: Callable[[str, object], None]) -> None:
    left_out = OMITTED[project.variant] + DEFERRED[project.variant]
    record_property("suite", run_suite(project.path, *(f"--ignore={path}" for path in left_out)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "project",
    [pytest.param(variant, id=variant.name) for variant in VARIANTS],
    indirect=True,
)
def test_deferred_tests_pass(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    record_property("suite", run_suite(project.path, *DEFERRED[project.variant]))


def test_tests_that_are_left_out_exist() -> None:
    left_out = {path for paths in [*OMITTED.values(), *DEFERRED.values()] for path in paths}

    assert [path for path in left_out if not (ROOT / TEMPLATE_FOLDER / path).exists()] == []


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        (("http", "mail", "observability", "security"), r"asyncpg|psycopg|db_driver"),
        (("database", "jobs", "observability"), r"use_auth|without_auth"),
    ],
    ids=["drivers", "auth"],
)
def test_packages_depend_on_one_answer(packages: tuple[str, ...], words: str) -> None:
    core = ROOT / TEMPLATE_FOLDER / "app/core"
    paths = [path for package in packages for path in (core / package).rglob("*.py")]
    dependent = [
        path.name for path in paths if re.search(words, path.name + path.read_text("utf-8"))
    ]

    assert len(paths) > len(packages)
    assert dependent == []


@pytest.mark.full
def test_suite_covers_the_code(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    """Not in each run, because measuring nearly doubles the time."""
    record_property("suite", run_suite(project.path, "--cov"))


@pytest.mark.full
def test_contract_holds_for_thousands_of_requests(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    env = {
        "CONTRACT_EXAMPLES": "600",
        "CONTRACT_PHASES": "examples,coverage,fuzzing,stateful",
        "CONTRACT_SEED": str(random.randrange(2**32)),
        "PYTEST_DEBUG_TEMPROOT": str(project.path.parent),
    }
    output = run(project.path, "pytest", "-s", "tests/test_contract.py", env=env)
    summary = re.search(r"(\d+) generated, \d+ passed", output)
    assert summary, output
    record_property("figures", f"{summary[0]}, seed {env['CONTRACT_SEED']}")
    assert int(summary[1]) >= 5000


@pytest.mark.parametrize("project", in_each_run(FIRST_AND_LAST, slow=VARIANTS), indirect=True)
def test_wheel_imports_without_the_development_dependencies(
    project: Project, tmp_path: Path
) -> None:
    run_uv(project.path, "build", "--quiet", "--wheel", "--out-dir", str(tmp_path))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in project.files if name.startswith("app/")} <= set(
            archive.namelist()
        )
    # With the extras in one half of the variants, and without in the other.
    extras, omitted = EXTRAS, DEVELOPMENT_MODULES
    if not project.variant.use_auth:
        extras, omitted = "", DEVELOPMENT_MODULES | OPTIONAL_MODULES
    python = ("--isolated", "--no-project", "--with", f"{wheel}{extras}", "python")
    imported = run(tmp_path, "--quiet", *python, "-c", IMPORT_EVERY_MODULE, *omitted, env=SETTINGS)
    modules = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in project.files
        if name.startswith("app/") and name.endswith(".py")
    }
    assert set(imported.split()) == modules - {"app"} - omitted


@pytest.mark.parametrize("check", CHECKS, ids=" ".join)
def test_check_passes_in_place(unrendered: Path, workspace: Path, check: tuple[str, ...]) -> None:
    run_check(unrendered, workspace, *check)


# What in-place use may break: paths, the settings of both variants, the choice of the driver, and what
# workers of xdist share. The bakes run all tests.
IN_PLACE = {
    "asyncpg": (
        *("-n", "2", "tests/cli/test_dev.py", "tests/routes/test_users.py"),
        "tests/scaffold/test_posts.py",  # bakes do not have it
    ),
    "psycopg": ("tests/repositories",),
}  # fmt: skip


@pytest.mark.parametrize("driver", DRIVERS)
def test_suite_passes_in_place(
    unrendered: Path, driver: str, record_property: Callable[[str, object], None]
) -> None:
    env = {"TEST_DRIVER": driver}
    record_property("suite", run_suite(unrendered, *IN_PLACE[driver], env=env))
