"""What the documents have their readers type is there: programs, commands, options, files and services."""

import re
import shlex
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from app.cli import main as main  # registers the commands
from app.cli.commands import commands
from tests.platform.documented_programs import (
    of_alembic,
    of_fastapi,
    of_git,
    of_python,
    of_script,
    of_typer,
    resolved,
)
from tests.platform.documents import DOCUMENTS, PROJECT, blocks_of, read, words
from tests.platform.test_documents import unknown_variables

AGENTS: Final = PROJECT / "AGENTS.md"
APP: Final = get_command(commands)
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(
    (PROJECT / "compose.yaml").read_text(encoding="utf-8")
)["services"]

# The resource that the documents add as an example has these tests.
TESTS_OF_THE_EXAMPLE: Final = "tests/routes/test_articles.py"
# Programs of others, which are only named: the template's tests run those that generate clients.
OF_OTHERS: Final = {"npx", "uvx"}
# The options of pytest and of its plugins that the documents use.
OF_PYTEST: Final = {"--cov", "--ignore", "-n"}
# The commands of Compose that take services, and how many.
SERVICES_OF: Final = {"build": None, "exec": 1, "run": 1, "stop": None, "up": None}
# The options of kubectl and Compose that the documents use with a value after a blank.
WITH_VALUE: Final = {"--namespace", "--kustomize", "--timeout", "--scale", "--profile"}

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def parts_of(line: str) -> list[list[str]]:
    """Return the commands of a line, without comments and redirections."""
    shell = shlex.shlex(line, posix=True, punctuation_chars="&|<>")
    shell.whitespace_split = True
    found: list[list[str]] = [[]]
    is_file = False
    for word in shell:
        if word in {"&&", "|"}:
            found.append([])
        elif not is_file and word not in {"<", ">", ">>"}:
            found[-1].append(word)
        is_file = word in {"<", ">", ">>"}
    return [part for part in found if part]


def wrong(part: Sequence[str], document: Path) -> str:
    """Return what is wrong with a command, or an empty string."""
    program, *arguments = part
    if "=" in program:
        name = program.partition("=")[0]
        is_read_by_others = name.startswith("OTEL_")
        return "" if is_read_by_others else ", ".join(unknown_variables({name}, document))
    if program in OF_OTHERS:
        return ""
    check = PROGRAMS.get(program)
    return check(arguments) if check else f"{program}?"


def of_uv(arguments: Sequence[str]) -> str:
    """Check `uv sync`, `uv run`, and the program of the project's environment that it runs."""
    command, *words = arguments
    if arguments == ["sync"]:
        return ""
    if command != "run":
        return f"uv {command}?"
    if words[0] == "--group":
        _, name, program = words[:3]
        text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
        group = tomllib.loads(text)["dependency-groups"].get(name, ())
        is_there = any(one.startswith(program) for one in group)
        return "" if is_there else f"no {program} in the group {name}"
    program, *rest = words
    check = OF_THE_PROJECT.get(program)
    return check(rest) if check else f"{program}?"


def of_tests(arguments: Sequence[str]) -> str:
    options = {word for word in arguments if word.startswith("-")}
    if options - OF_PYTEST:
        return f"pytest {', '.join(options - OF_PYTEST)}?"
    paths = [word for word in arguments if word.startswith("tests/")]
    missing = [path for path in paths if not (PROJECT / path).exists()]
    return ", ".join(path for path in missing if path != TESTS_OF_THE_EXAMPLE)


def positional(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that are neither options nor their values."""
    found: list[str] = []
    previous = ""
    for word in arguments:
        if not word.startswith("-") and previous not in WITH_VALUE:
            found.append(word)
        previous = word
    return found


def docker(arguments: Sequence[str]) -> str:
    if arguments[:1] != ["compose"]:
        return ""  # of one container
    command, *services = positional(arguments[1:])
    if command not in SERVICES_OF:
        return f"docker compose {command}?"
    return ", ".join(set(services[: SERVICES_OF[command]]) - COMPOSE.keys())


def kubectl(arguments: Sequence[str]) -> str:
    """Look for the folders, and for the objects, such as `job/migrate`."""
    own = [*arguments, "--"][: [*arguments, "--"].index("--")]
    folders = [word for before, word in pairwise(own) if before == "--kustomize"]
    missing = [one for one in folders if not (PROJECT / one / "kustomization.yaml").exists()]
    words = positional(own)
    objects = {word for word in words if "/" in word}
    if words[0] == "delete":
        objects.add("/".join(words[1:]))
    return ", ".join([*missing, *(objects - kubernetes_objects())])


def kubernetes_objects() -> set[str]:
    """Return the names of the manifests, as `kubectl` takes them."""
    found: set[str] = set()
    for path in (PROJECT / "deploy/kubernetes/base").glob("*.yaml"):
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "metadata" in manifest:
            kind, name = manifest["kind"].lower(), manifest["metadata"]["name"]
            found |= {f"{kind}/{name}", f"{kind.replace('deployment', 'deploy')}/{name}"}
    return found


def copied(arguments: Sequence[str]) -> str:
    return "" if (PROJECT / arguments[0]).exists() else f"no {arguments[0]}"


def printed(arguments: Sequence[str]) -> str:
    """Check a line that is added to `.env`."""
    return ", ".join(unknown_variables({arguments[0].partition("=")[0]}, PROJECT / "README.md"))


OF_THE_PROJECT: Final[dict[str, Callable[[Sequence[str]], str]]] = {
    **{
        name: partial(of_script, name)
        for name in ("lint-imports", "mypy", "pre-commit", "ruff", "uvicorn")
    },
    "alembic": of_alembic,
    "app": partial(of_typer, APP),
    "fastapi": of_fastapi,
    "pytest": of_tests,
    "python": of_python,
}
PROGRAMS: Final[dict[str, Callable[[Sequence[str]], str]]] = {
    "cp": copied,
    "docker": docker,
    "echo": printed,
    "git": of_git,
    "kubectl": kubectl,
    "uv": of_uv,
}


@each_document
def test_blocks_name_programs_options_and_files_that_exist(document: Path) -> None:
    found = [
        f"{line}: {reason}"
        for block in blocks_of(document)
        if block.language == "console"
        for line in block.code.splitlines()
        if line and not line.startswith("#")
        for part in parts_of(line)
        if (reason := wrong(part, document))
    ]

    assert found == []


@each_document
def test_commands_in_the_text_exist(document: Path) -> None:
    named = re.findall(r"(?:`|\buv run )app ([a-z-]+)", document.read_text(encoding="utf-8"))
    known = APP.commands.keys() if isinstance(APP, TyperGroup) else set()

    assert set(named) <= known


@each_document
def test_options_in_the_text_exist(document: Path) -> None:
    unknown = []
    for word in words(read(document)):
        line = word.removeprefix("uv run ")
        if re.match(r"app [a-z-]+ .*-", line):
            command, arguments = resolved(APP, parts_of(line)[0][1:])
            known = {option for parameter in command.params for option in parameter.opts}
            options = {one for one in arguments if one.startswith("-")}
            unknown += [f"{line}: {one}" for one in options - known - {"--traceback"}]

    assert unknown == []


@each_document
def test_services_objects_and_programs_in_the_text_exist(document: Path) -> None:
    commands = [re.sub(r"^alembic ", "uv run alembic ", word) for word in words(read(document))]
    found = [
        f"{command}: {reason}"
        for command in commands
        if command.startswith(("docker compose ", "git ", "kubectl ", "uv run "))
        and not command.startswith("uv run app ")
        for part in parts_of(command)
        if (reason := wrong(part, document))
    ]

    assert found == []


def test_notes_for_assistants_are_short_and_name_each_program() -> None:
    (block,) = blocks_of(AGENTS)
    programs = {
        part[2] for line in block.code.splitlines() for part in parts_of(line) if part[0] == "uv"
    }

    assert len(AGENTS.read_text(encoding="utf-8").splitlines()) < 120
    assert "AGENTS.md" in (PROJECT / "CLAUDE.md").read_text(encoding="utf-8")
    assert programs == {"app", "pytest", "ruff", "mypy", "lint-imports", "alembic"}


@pytest.mark.parametrize(
    "line",
    [
        "uv run app migrat",
        "uv run app doctor --strickt",
        "uv run app create-resource",
        "uv run --group docs nothing",
        "uv run pytest tests/nothing.py",
        "uv run pytest --nothing",
        "uv run alembic nothing",
        "uv run alembic check --nothing",
        "uv run fastapi nothing",
        "uv run fastapi dev --nothing",
        "uv run lint-imports --nothing",
        "uv run mypy --nothing",
        "uv run pre-commit nothing",
        "uv run python -c 'print('",
        "uv run ruff nothing",
        "uv run ruff check --nothing",
        "uv run uvicorn app.asgi:app --nothing",
        "uv run nothing",
        "git nothing",
        "docker compose up --detach nothing",
        "docker compose run --rm nothing",
        "kubectl apply --kustomize deploy/nothing",
        "kubectl wait --for=condition=complete job/nothing",
        "cp nothing .env",
        'echo "NO_SUCH_SETTING=1" >> .env',
        "NO_SUCH_SETTING=1",
        "nothing",
    ],
)
def test_what_does_not_exist_is_found(line: str) -> None:
    assert all(wrong(part, AGENTS) for part in parts_of(line))
