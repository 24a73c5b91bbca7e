"""Linters have nothing to say of the OpenAPI document, and generated clients work."""

import json
import os
import shutil
from pathlib import Path

import pytest
from baking import ROOT, TEMPLATE_FOLDER, run
from processes import output_of
from served_project import ADDRESS, PASSWORD, register, served_project
from terminal import Terminal, lines_of
from test_variants import SETTINGS, baked_once
from variants import VARIANTS, Variant

DRIVE = Path(__file__).with_name("clients") / "drive.py"


def write_document(project: Path, folder: Path) -> Path:
    document = folder / "openapi.json"
    document.write_text(run(project, "--quiet", "app", "openapi", env=SETTINGS), encoding="utf-8")
    return document


def generate_python_client(document: Path) -> str:
    """Generate the client beside its document, and return what the generator printed."""
    generator = ("--no-project", "--with", "openapi-python-client", "openapi-python-client")
    arguments = ("--path", str(document), "--output-path", str(document.with_name("client")))
    return run(document.parent, "--quiet", *generator, "generate", *arguments)


def words(text: str) -> list[str]:
    """Return what was printed, wherever its lines were broken."""
    return text.split()


@pytest.mark.slow
def test_python_client_is_generated_without_a_warning(
    template: Path, workspace: Path, tmp_path: Path
) -> None:
    """Without auth; the next test does the same with it."""
    document = write_document(baked_once(VARIANTS[3], template, workspace).path, tmp_path)

    assert words(generate_python_client(document)) == words(f"Generating {tmp_path / 'client'}")


def test_python_client_drives_the_service(
    template: Path, workspace: Path, tmp_path: Path, database_server: str
) -> None:
    project = baked_once(VARIANTS[0], template, workspace).path
    printed = generate_python_client(write_document(project, tmp_path))

    with served_project(project, database_server, tmp_path / "log") as url:
        register(url, password=PASSWORD)
        client = ("--no-project", "--with", "openapi-python-client", "python", str(DRIVE))
        environment = {"PYTHONPATH": str(tmp_path / "client")}
        output = run(tmp_path, "--quiet", *client, url, ADDRESS, PASSWORD, env=environment)

    assert words(printed) == words(f"Generating {tmp_path / 'client'}")
    assert json.loads(output) == {
        "created": ["By a client", True],
        "pages": ["Another", "By a client", True],
        "patched": [200, 412, "PRECONDITION_FAILED"],
        "conflict": [409, "EMAIL_TAKEN", f"E-mail address {ADDRESS} is already registered"],
    }


def npx(folder: Path, packages: str, *command: str) -> str:
    """Run a command of npm packages; raise AssertionError with its output on failure."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is needed: deselect these tests by their marker, npm")
    wanted = [f"--package={package}" for package in packages.split()]
    env = os.environ | {"NO_COLOR": "1", "REDOCLY_TELEMETRY": "off"}
    return output_of(npm, "exec", "--yes", *wanted, "--", *command, folder=folder, env=env)


@pytest.mark.npm
@pytest.mark.parametrize("variant", VARIANTS[::3], ids=lambda variant: variant.name)
def test_linters_and_generators_of_npm_have_no_complaint(
    variant: Variant, template: Path, workspace: Path, tmp_path: Path
) -> None:
    write_document(baked_once(variant, template, workspace).path, tmp_path)
    (tmp_path / ".spectral.yaml").write_text("extends: ['spectral:oas']\n")

    spectral = npx(
        tmp_path,
        "@stoplight/spectral-cli",
        "spectral",
        "lint",
        "--fail-severity=hint",
        "openapi.json",
    )
    redocly = npx(
        tmp_path,
        "@redocly/cli",
        "redocly",
        "lint",
        "--extends=recommended",
        "--format=json",
        "openapi.json",
    )
    terminal = Terminal(tmp_path, {"npm_config_yes": "true", "NO_COLOR": "1"})
    lines = [
        line for line in lines_of(ROOT / TEMPLATE_FOLDER / "README.md") if line.startswith("npx ")
    ]
    printed = "".join(terminal.type_in(line) for line in lines)
    npx(
        tmp_path,
        "typescript@5",
        *("tsc", "--strict", "--noEmit", "--skipLibCheck", "--target", "es2022"),
        *("--module", "esnext", "--moduleResolution", "bundler", "api.d.ts", "client/index.ts"),
    )

    assert "No results with a severity" in spectral
    assert json.JSONDecoder().raw_decode(redocly, redocly.index("{\n"))[0]["totals"] == {
        "errors": 0,
        "warnings": 0,
        "ignored": 0,
    }
    assert len(lines) == 2
    assert "warn" not in printed.lower()
