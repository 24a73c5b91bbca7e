"""What the documents name is there: files, settings, and places in other documents."""

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn
import yaml
from dotenv import dotenv_values

from app.cli.doctor import accounts, connections, database, settings
from app.core.config import Settings, load_settings
from app.core.env_file import env_file
from tests.platform.documents import (
    DOCUMENTS,
    PROJECT,
    Block,
    blocks_of,
    patch_of,
    read,
    words,
)

OPERATIONS: Final = PROJECT / "docs/operations.md"
README: Final = PROJECT / "README.md"

_FOLDERS: Final = r"app|docs|tests|alembic|deploy|scaffold|licenses|\.github"
_PATH: Final = re.compile(rf"(?:{_FOLDERS})/[\w./-]+")
# Decision records leave out `app/`.
_LAYERS: Final = r"core|models|schemas|repositories|services|jobs|dependencies|routes|cli"
_PATH_IN_APP: Final = re.compile(rf"(?:{_LAYERS})/[\w./-]+\.py")
_FILE: Final = re.compile(r"[\w.-]+\.(?:py|md|patch|toml|ya?ml|ini|json|svg)")
_NAME: Final = re.compile(r"([A-Z][A-Z0-9_]{4,})(?:=.*)?")
# In compose.yaml, and in a Dockerfile.
_VARIABLE: Final = re.compile(r"\$\{(\w+)|^ +([A-Z_]+):|^ARG (\w+)", re.MULTILINE)

# Paths that are not there, and why.
OTHER_PATHS: Final = {
    **dict.fromkeys(
        [
            "app/models/article.py",
            "app/repositories/article_repo.py",
            "app/routes/articles.py",
            "app/schemas/article.py",
            "app/services/article_service.py",
            "tests/article_factory.py",
            "tests/routes/test_articles.py",
        ],
        "of the resource that the documents add as an example",
    ),
    "alembic/versions/...": "stands for the migration of that resource",
    "scaffold/resources/": "git keeps no folder without a file, so the first `app new` makes it again",
    "tests/faults/test_jobs.py": "in the template",
    "core/database.py": "a module in the specification that the record compares with",
    "core/security.py": "likewise",
    "dependencies/auth.py": "likewise",
    "UPGRADING.md": "in the template",
    **dict.fromkeys(["NAME.md", "NAME.patch"], "stands for those of a recipe"),
}

# Names in capitals that are no settings of this variant, and what they are.
OTHER_NAMES: Final = {
    "CALLER_HEADER": "a setting of services behind a gateway",
    "TEST_DATABASE_URL": "a variable of the tests",
    "TEST_POSTGRES": "a variable of the tests",
    "SECRETS_DIR": "a variable that says where settings are",
    "COMPOSE_PROFILES": "a variable of Compose",
    "PROMETHEUS_MULTIPROC_DIR": "a variable of the client library for Prometheus",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "a variable of OpenTelemetry",
    "OTEL_BSP_SCHEDULE_DELAY": "a variable of OpenTelemetry",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "a variable of OpenTelemetry",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "a variable of OpenTelemetry",
    "HS256": "an algorithm",
    "RECONNECT": "a command of PgBouncer",
    "SO_REUSEPORT": "an option of sockets",
    "REDACTED": "a value in traces",
    "MISSING": "a value of Pydantic",
    **dict.fromkeys(
        [
            *("ALREADY_PROCESSED", "KEY_IN_USE", "REFRESH_GRACE_SECONDS", "REGISTRATION"),
            *("SESSIONS_PER_USER", "SESSION_DAYS", "SESSION_IDLE_DAYS"),
        ],
        "of a feature that can be taken out, in a record or a recipe",
    ),
    **dict.fromkeys(
        [
            *("SELECT", "INSERT", "UPDATE", "DELETE", "OFFSET", "EXISTS", "EXPLAIN", "ILIKE"),
            *("CONCURRENTLY", "BYPASSRLS"),
        ],
        "a word of SQL, or a method of HTTP",
    ),
    **dict.fromkeys(["SINGULAR", "PLURAL"], "stands for a name in templates"),
}
# Constants, which have to be in the code.
NAMES_OF_CODE: Final = {
    *("ADMIN", "CALLER", "ENDPOINTS", "LINE_CONTEXT", "OWNER", "ROUTERS", "SCHEDULES", "SECONDS"),
}

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@cache
def source_of(*patterns: str) -> str:
    paths = [path for pattern in patterns for path in PROJECT.glob(pattern)]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


@cache
def file_names() -> set[str]:
    """Return the names of the project's files, without their folders."""
    folders = _FOLDERS.replace("\\", "").split("|")
    inside = (path for folder in folders for path in (PROJECT / folder).rglob("*"))
    return {path.name for path in (*PROJECT.glob("*"), *inside)}


@cache
def variables() -> set[str]:
    """Return the settings, and the variables of Compose, of the image and of Uvicorn."""
    compose = source_of("compose.yaml", "Dockerfile", "deploy/pgbouncer/Dockerfile")
    server = {f"UVICORN_{option.name}".upper() for option in uvicorn.main.params}
    return (
        {name.upper() for name in Settings.model_fields}
        | {name for found in _VARIABLE.findall(compose) for name in found if name}
        | server
    )


def unknown_variables(names: set[str], document: Path) -> set[str]:
    """Return the names that are neither settings nor what the tables above say."""
    codes = set(re.findall(r'\bcode(?:: ClassVar\[str\])? = "(\w+)"', source_of("app/**/*.py")))
    of_recipe = set(re.findall(r"\b[A-Z][A-Z0-9_]{4,}\b", patch_of(document)))
    return names - variables() - codes - of_recipe - OTHER_NAMES.keys() - NAMES_OF_CODE


@each_document
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


@each_document
def test_paths_exist(document: Path) -> None:
    named = words(read(document))
    files = [name for name in named if _FILE.fullmatch(name)]
    paths = [name for name in named if _PATH.fullmatch(name)]
    paths += [f"app/{name}" for name in named if _PATH_IN_APP.fullmatch(name)]
    added = set(re.findall(r"^\+\+\+ b/(\S+)$", patch_of(document), re.MULTILINE))

    assert [
        path
        for path in paths
        if not (PROJECT / path).exists()
        and path not in added
        and path not in OTHER_PATHS
        and path.removeprefix("app/") not in OTHER_PATHS
    ] == []
    known = file_names() | {path.rpartition("/")[2] for path in added} | OTHER_PATHS.keys()
    assert [name for name in files if name not in known] == []


@each_document
def test_settings_exist(document: Path) -> None:
    text = read(document)
    named = {match[1] for word in words(text) if (match := _NAME.fullmatch(word))}

    assert unknown_variables(named, document) == set()


def test_names_of_code_are_in_the_code() -> None:
    code = source_of("app/**/*.py", "tests/*.py", "tests/routes/*.py")
    known = set(re.findall(r"\b[A-Z_]{5,}\b", code))

    assert known >= NAMES_OF_CODE


@pytest.mark.parametrize(
    ("document", "before"), [(README, "`uv run app doctor` | check "), (OPERATIONS, "It checks ")]
)
def test_documents_list_the_checks_of_doctor(document: Path, before: str) -> None:
    listed = read(document).partition(before)[2].partition(".")[0]
    checks = {
        name.removeprefix("check_").replace("_", " ")
        for module in (accounts, connections, database, settings)
        for name in vars(module)
        if name.startswith("check_")
    }

    assert set(re.split(r",\s|\sand\s", listed)) == checks


@pytest.mark.parametrize(
    "document", [README, PROJECT / "docs/architecture.md"], ids=lambda path: path.name
)
def test_layers_are_those_of_the_contract_and_in_its_order(document: Path) -> None:
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    (contract,) = (one["layers"] for one in contracts if one["type"] == "layers")
    layers = [layer.split(" | ") for layer in contract]
    before, after = re.split(r"\sstand side by side", read(document))
    siblings = re.findall(r"`(\w+)` and `(\w+)`", before.rpartition(".")[2])
    rows = re.findall(r"^\| `app/(\w+)", after.split("\n\n")[1], re.MULTILINE)

    assert list(dict.fromkeys(rows)) == [name for names in layers for name in names]
    assert siblings == [tuple(names) for names in layers if len(names) > 1]


DATA: Final = [
    block
    for document in DOCUMENTS
    for block in blocks_of(document)
    if block.language in {"json", "yaml", "ini"}
]


@pytest.mark.parametrize("block", DATA, ids=lambda block: f"{block.document.name}:{block.line}")
def test_data_can_be_read_and_names_what_exists(block: Block) -> None:
    match block.language:
        case "json":
            code = source_of("app/core/**/*.py")
            unknown = {key for key in json.loads(block.code) if not re.search(rf"\b{key}\b", code)}
        case "ini":
            lines = [line for line in block.code.splitlines() if line and line[0] != "#"]
            unknown = unknown_variables({line.partition("=")[0] for line in lines}, block.document)
        case _:
            assert block.code.startswith("# compose.override.yaml\n")
            unknown = unknown_in_override(yaml.safe_load(block.code))
    assert unknown == set()


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "block",
    [block for block in DATA if block.language == "ini"],
    ids=lambda block: f"{block.document.name}:{block.line}",
)
def test_settings_of_a_block_are_valid_and_used(block: Block) -> None:
    default = load_settings(Settings)
    env_file().write_text(block.code, encoding="utf-8")
    changed = load_settings(Settings)

    names = {name.lower() for name in dotenv_values(env_file())} & Settings.model_fields.keys()
    assert names
    assert [name for name in names if getattr(changed, name) == getattr(default, name)] == []


def unknown_in_override(override: dict[str, Any]) -> set[str]:
    """Return the services that Compose does not have, and the secrets that are no settings."""
    compose = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))
    unknown: set[str] = override["services"].keys() - compose["services"].keys()
    unknown |= override["secrets"].keys() - Settings.model_fields.keys()
    return unknown


def test_profiles_of_compose_are_those_of_the_document() -> None:
    compose = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))
    profiles = {
        name for service in compose["services"].values() for name in service.get("profiles", ())
    }
    table = read(PROJECT / "docs/deployment.md").partition("| profile |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == profiles


def test_each_alert_has_its_part_of_the_runbook() -> None:
    rules = yaml.safe_load((PROJECT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]

    assert (
        re.findall(r"^### (\w+)$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE) == alerts
    )
