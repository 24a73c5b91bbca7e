"""What the documents name is there: files, commands, settings, and places in other documents."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from app.cli import main as main  # registers the commands
from app.cli.commands import commands
from app.core.config import Settings

PROJECT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
SECURITY: Final = [PROJECT / "SECURITY.md", *sorted((PROJECT / "docs/security").glob("*.md"))]

AGENTS: Final = PROJECT / "AGENTS.md"
HOWTO: Final = sorted(PROJECT.glob("docs/howto/*.md"))
OPERATIONS: Final = PROJECT / "docs/operations.md"
PATTERNS: Final = sorted(PROJECT.glob("docs/patterns/*.md"))
PAGES: Final = [PROJECT / "docs/architecture.md", PROJECT / "docs/index.md", *HOWTO, *PATTERNS]
WITH_PATHS: Final = [*SECURITY, AGENTS, OPERATIONS, *PAGES]

# Names in capitals that are no settings: of the app, of the tests, and of templates.
NAMES_OF_CODE: Final = {"ENDPOINTS", "OWNER", "CALLER", "ADMIN", "SCHEDULES", "SINGULAR", "PLURAL"}

COMMAND_LINE: Final = re.compile(
    r"uv run (--group docs )?"
    r"(app|pytest|ruff|mypy|lint-imports|alembic|pre-commit|fastapi|uvicorn|python|zensical)\b.*"
    r"|(uvx|npx|docker compose|kubectl|git|cp|echo) .+|[A-Z_]+=.+"
)

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def code(text: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


@each_document
def test_links_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


@each_document
def test_blocks_of_commands_name_programs_and_tests_that_exist(document: Path) -> None:
    blocks = re.findall(r"(?s)```console\n(.*?)```", document.read_text(encoding="utf-8"))
    lines = [
        line.partition(" #")[0].strip()
        for block in blocks
        for line in block.splitlines()
        if line and not line.startswith("#")
    ]
    tests = {path for line in lines for path in re.findall(r"tests/[\w/]+\.py", line)}

    assert [line for line in lines if not COMMAND_LINE.fullmatch(line)] == []
    # The resource that documents add as an example is not there.
    assert {path for path in tests if not (PROJECT / path).exists()} <= {
        "tests/routes/test_articles.py"
    }


@pytest.mark.parametrize("document", WITH_PATHS, ids=lambda path: path.name)
def test_paths_exist(document: Path) -> None:
    named = code(document.read_text(encoding="utf-8"))
    paths = [name for name in named if re.fullmatch(r"(app|docs|tests|alembic)/[\w./-]+", name)]

    assert [path for path in paths if not (PROJECT / path).exists()] == []


@each_document
def test_commands_exist(document: Path) -> None:
    groups = {group.name for group in commands.registered_groups}
    known = {command.name for command in commands.registered_commands} | groups
    named = re.findall(r"(?:`|\buv run )app ([a-z-]+)", document.read_text(encoding="utf-8"))

    assert set(named) <= known


@pytest.mark.parametrize("document", [*SECURITY, OPERATIONS, *HOWTO], ids=lambda path: path.name)
def test_settings_exist(document: Path) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    compose = set(re.findall(r"\$\{(\w+)", (PROJECT / "compose.yaml").read_text(encoding="utf-8")))
    named = {
        name
        for name in code(document.read_text(encoding="utf-8"))
        if re.fullmatch("[A-Z_]{5,}", name)
    }

    # In place, a setting of the variant without auth is none.
    assert named - settings - compose <= {"CALLER_HEADER", "UVICORN_ROOT_PATH", *NAMES_OF_CODE}


def test_notes_for_assistants_are_short_and_their_commands_work() -> None:
    text = AGENTS.read_text(encoding="utf-8")
    (block,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    programs = {
        command.split()[2]
        for line in block.splitlines()
        for command in line.partition("#")[0].split(" && ")
    }

    assert len(text.splitlines()) < 120
    assert "AGENTS.md" in (PROJECT / "CLAUDE.md").read_text(encoding="utf-8")
    assert programs == {"app", "pytest", "ruff", "mypy", "lint-imports", "alembic"}
    assert [
        path for path in re.findall(r"tests/\S+\.py", block) if not (PROJECT / path).exists()
    ] == []
    assert set(re.findall(r"uv run app ([a-z-]+)", block)) <= {
        command.name for command in commands.registered_commands
    }


def test_each_alert_has_its_part_of_the_runbook() -> None:
    rules = yaml.safe_load((PROJECT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]

    assert (
        re.findall(r"^### (\w+)$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE) == alerts
    )
