"""The documents of the template name commands that exist, and say of its peers what the probes have shown."""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from baking import ROOT, TEMPLATE_FOLDER
from variants import VARIANTS

# How the README says in a cell what the probes saw, as a regular expression for their cell.
SEEN = {
    "yes": r"\*\*yes\*\*",
    "503 after 5 s": r"\*\*yes\*\*: .* 503, the last after 5\.",
    "no": r"\*\*no\*\*",
    "500s": r"\*\*no\*\*: .*\b500\b",
    "200": r"\*\*no\*\*: .*\b200\b",
    "2 rows": r"\*\*no\*\*: 2 rows",
    "lost update": r"\*\*no\*\*: 200, 200",
    "none": r"\*\*no\*\*: \d+x late",
    "cut": r"\*\*no\*\*: .*\b[1-9]\d* of \d+ cut",
    "n/a": "n/a",
}
# The questions of the README, as the probes call them.
QUESTIONS = {
    "50 sign-ups race for one address: no 5xx": "50 sign-ups with one address",
    "NUL, a lone surrogate, an id of 2^63: 4xx": "odd values",
    "a POST repeated with its `Idempotency-Key`: one row": "one POST twice with a key",
    "two clients change the version that both have read: the second is refused": "two changes of one reading",
    "the database hangs: a response within 30 s": "database silent",
    "the database restarts while the service is idle: no 5xx afterwards": "5xx after a restart, while idle",
    "200 reads wait for the database: 503, not 500": "200 reads wait; a request without the database",
    "database sessions are killed during 200 creates: each 2xx has its row": "sessions ended during 200 creations",
    "SIGTERM under load: no request is cut": "SIGTERM under load",
}
DATE = r"On (\d{4}-\d\d-\d\d)"


def table_in(text: str) -> dict[str, list[str]]:
    """Return the first table about this template: the cells of each row, by the first one."""
    table = text[text.index("| | this template") :].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {first: cells for first, *cells in rows if set(first) != {"-"}}


def test_readme_says_of_its_peers_what_the_probes_have_shown() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    probes = (ROOT / "tests/probes/README.md").read_text(encoding="utf-8")
    said, shown = table_in(readme), table_in(probes)

    assert said.keys() - {""} == QUESTIONS.keys()
    different = [
        f"{question}: {ours} is not {theirs}"
        for question, name in QUESTIONS.items()
        for ours, theirs in zip(said[question], shown[name], strict=True)
        if not re.match(SEEN[ours.removesuffix(" (a)")], theirs)
    ]
    assert different == []
    peers = [re.findall(r"\[([\w-]+)\]\(\S+\) (\w+)", cell) for cell in said[""][1:]]
    assert peers == [re.findall(r"([\w-]+) \((\w+), ", cell) for cell in shown[""][1:]]
    assert re.findall(DATE, readme) == re.findall(DATE, probes)
    assert re.findall(r"\(a\) .*\n.*?(\d+ of \d+) requests were cut", readme) == re.findall(
        r"\(c\) (\d+ of \d+) were cut", probes
    )


def test_speed_is_what_the_benchmark_has_shown() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "tests/benchmarks/README.md").read_text(encoding="utf-8")
    record = (ROOT / TEMPLATE_FOLDER / "docs/decisions/0006-speed.md").read_text(encoding="utf-8")
    ratio = r"([\d.]+ \([\d.]+ to [\d.]+\))"  # of one run, and of several

    # To SQLAlchemy Core, with asyncpg and with psycopg.
    shown = re.findall(rf"^\| [^|]+ \| {ratio} \| {ratio} \| ", page, re.MULTILINE)

    assert re.findall(rf'"{ratio}" if .* == "asyncpg" else "{ratio}"', record) == shown
    numbers = [
        float(number) for pair in shown for both in pair for number in re.findall(r"[\d.]+", both)
    ]
    assert f"({min(numbers):.2f} to {max(numbers):.2f})" in readme


# Options of pytest that the documents use. What follows the first two is checked, and a number follows the third.
OPTIONS_OF_PYTEST = {"-k", "-m", "-n"}
# Programs of a project's environment, not of this one.
OF_A_PROJECT = {"alembic", "app", "lint-imports"}
PAGES_OF_TESTS = ("tests/benchmarks/README.md", "tests/probes/README.md")


def commands_of(text: str) -> Iterator[list[str]]:
    """Yield what is typed after `uv run`, in blocks and between backticks."""
    lines = re.findall(r"^(?: {4})?(uv run .+)$|`(uv run [^`\n]+)`", text, re.MULTILINE)
    for in_block, in_text in lines:
        for command in (in_block or in_text).partition("  #")[0].split(" && "):
            words = shlex.split(command, comments=True)
            if words[:2] == ["uv", "run"] and words[2] not in OF_A_PROJECT:
                yield words[2:]


def wrong_in(command: list[str]) -> set[str]:
    """Return the parts of a command that are not there."""
    program, *arguments = command
    paths = [word for word in (program, *arguments) if word.startswith("tests/")]
    missing = {path for path in paths if not (ROOT / path).exists()}
    options = {word for word in arguments if word.startswith("-")}
    if missing:
        return missing
    if program.endswith(".py"):
        source = (ROOT / program).read_text(encoding="utf-8")
        return {option for option in options - {"--help"} if f'"{option}"' not in source}
    if program == "pytest":
        return (options - OPTIONS_OF_PYTEST) | unknown_names(arguments)
    if shutil.which(program) is None:
        return {program}
    asked = [program, *(word for word in arguments if word not in options), "--help"]
    shown = subprocess.run(asked, capture_output=True, encoding="utf-8", check=False)
    return {option for option in options if option not in shown.stdout} | (
        {program} if shown.returncode else set()
    )


def unknown_names(arguments: list[str]) -> set[str]:
    """Return the names after `-k` that are no variants, and those after `-m` that are no markers."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    markers = settings["tool"]["pytest"]["markers"]
    known = {
        "-k": {variant.name for variant in VARIANTS},
        "-m": {marker.partition(":")[0] for marker in markers},
    }
    return {
        word
        for option, value in pairwise(arguments)
        if option in known
        for word in set(re.findall(r"[\w-]+", value)) - {"and", "or", "not"} - known[option]
    }


def test_commands_in_the_documents_of_the_template_exist() -> None:
    found = []
    for name in ("AGENTS.md", "CONTRIBUTING.md", "README.md", "UPGRADING.md", *PAGES_OF_TESTS):
        commands = [*commands_of((ROOT / name).read_text(encoding="utf-8"))]
        assert commands
        found += [f"{name}: {wrong}" for command in commands if (wrong := wrong_in(command))]

    assert found == []


@pytest.mark.parametrize(
    "command",
    [
        "tests/nothing.py",
        "tests/demo.py --nothing",
        "pytest tests/test_nothing.py",
        "pytest -k asyncpg-nothing",
        "pytest -m nothing",
        "pytest --nothing",
        "ruff format --nothing",
        "ruff nothing",
        "nothing",
    ],
)
def test_command_that_does_not_exist_is_found(command: str) -> None:
    assert wrong_in(command.split())
