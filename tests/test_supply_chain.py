"""What a project's CI does for what the project is made of, run as CI runs it."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml
from baking import ROOT, TEMPLATE_FOLDER, bake, run
from packaging.requirements import Requirement
from packaging.version import Version
from repositories import git, make_repository

CRUFT_STATE = '{"commit": "4b1f0c6a924b1f0c6a924b1f0c6a924b1f0c6a92"}'


# Minor releases of these have removed names, or say in their documents that they may.
BROKEN_BY_MINORS = {"alembic", "pgqueuer", "pyjwt", "sqlalchemy"}


def test_unstable_dependency_excludes_the_next_minor_and_dependabot_raises_that() -> None:
    folder = ROOT / TEMPLATE_FOLDER
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = [Requirement(text) for text in pyproject["project"]["dependencies"]]
    bounds = {
        requirement.name: {part.operator: Version(part.version) for part in requirement.specifier}
        for requirement in requirements
    }
    young = {name: bound for name, bound in bounds.items() if bound[">="].major == 0}
    assert {"fastapi", "uvicorn", "asyncpg", "typer"} <= young.keys()
    for name in young.keys() | BROKEN_BY_MINORS:
        lowest = bounds[name][">="]
        assert bounds[name]["<"].release == (lowest.major, lowest.minor + 1), name
    dependabot = yaml.safe_load((folder / ".github/dependabot.yml").read_text(encoding="utf-8"))
    (update,) = [u for u in dependabot["updates"] if u["package-ecosystem"] == "uv"]
    assert update["versioning-strategy"] == "increase-if-necessary"


def command_of_ci(project: Path, name: str) -> str:
    """Return what the project's CI runs in the step of that name."""
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    (command,) = [step["run"] for step in steps if step.get("name") == name]
    return str(command)


def run_in_bash(project: Path, command: str) -> str:
    return run(project, "--no-project", "bash", "-e", "-o", "pipefail", "-c", command)


@pytest.mark.slow
def test_ci_finds_no_secret_in_the_files_and_would_find_one(template: Path, tmp_path: Path) -> None:
    """The template folder holds the files of every variant."""
    project = shutil.copytree(template / TEMPLATE_FOLDER, tmp_path / "project")
    (project / ".cruft.json").write_text(CRUFT_STATE, encoding="utf-8")
    make_repository(project)
    search = command_of_ci(project, "No secret in the files")
    run_in_bash(project, search)
    leak = f'URL = "postgresql://app:{"hunter2" * 2}@db.internal/app"\n'
    (project / "app" / "leak.py").write_text(leak, encoding="utf-8")
    git(project, "add", "--all")
    with pytest.raises(AssertionError, match=r"leak\.py:1"):
        run_in_bash(project, search)


@pytest.mark.full
def test_bill_of_materials_names_what_a_deployment_installs(
    template: Path, workspace: Path
) -> None:
    (workspace / "bill").mkdir()
    project = bake(template, workspace / "bill", db_driver="psycopg")
    (project / "dist").mkdir()
    name = "Bill of materials (CycloneDX) of what a deployment installs"
    run_in_bash(project, command_of_ci(project, name))
    bill = json.loads((project / "dist" / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "demo-service"
    names = {component["name"].lower() for component in bill["components"]}
    assert {"fastapi", "sqlalchemy", "psycopg"} <= names
    assert not names & {"asyncpg", "pytest"}
