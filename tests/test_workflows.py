"""The workflows of the template and of a project: apart, pinned, with few permissions, and linted."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from baking import ROOT, TEMPLATE_FOLDER
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from repositories import make_repository
from variants import matrix

WORKFLOWS = ".github/workflows"
CI = ROOT / WORKFLOWS / "ci.yml"
PROJECT_CI = ROOT / TEMPLATE_FOLDER / WORKFLOWS / "ci.yml"
BOTH = pytest.mark.parametrize("path", [CI, PROJECT_CI], ids=["template", "project"])
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

# What a job may do beyond reading the repository.
PERMISSIONS = {
    CI: {"bake": {"contents": "write", "actions": "write"}},
    PROJECT_CI: {"release": {"contents": "write", "id-token": "write", "attestations": "write"}},
}


def load(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    return load(CI)


def steps(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def test_project_s_workflow_knows_nothing_of_the_template() -> None:
    text = PROJECT_CI.read_text(encoding="utf-8")
    assert re.findall(r"(?i)template|cookiecutter|bake|place|inputs", text) == []
    jobs = {"lint", "test", "windows", "image", "supply-chain", "build", "release"}
    assert load(PROJECT_CI)["jobs"].keys() == jobs


def test_each_has_one_workflow() -> None:
    """Replacing one file is all that remains to be done after "Use this template"."""
    assert [list(path.parent.iterdir()) for path in (CI, PROJECT_CI)] == [[CI], [PROJECT_CI]]


@BOTH
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    uses = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert uses
    assert [action for action in uses if not PINNED.fullmatch(action)] == []
    assert len({action.split("@")[0] for action in uses}) == len(set(uses))


def test_template_and_project_pin_the_same_commits() -> None:
    pins = [set(PINNED.findall(path.read_text(encoding="utf-8"))) for path in (CI, PROJECT_CI)]
    assert pins[0] < pins[1]


@BOTH
def test_jobs_may_do_no_more_than_they_need(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert {name: job["permissions"] for name, job in jobs.items() if "permissions" in job} == (
        PERMISSIONS[path]
    )
    checkouts = [step for step in steps(workflow) if "checkout@" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert all("timeout-minutes" in job for job in jobs.values())


@BOTH
def test_push_and_weekly_run_do_not_cancel_each_other(path: Path) -> None:
    assert group_of(path, "push") != group_of(path, "schedule")


def test_run_that_the_bake_starts_waits_for_that_of_the_push(workflow: dict[Any, Any]) -> None:
    concurrency = workflow["concurrency"]
    assert group_of(CI, "push") == group_of(CI, "workflow_dispatch")
    assert concurrency["cancel-in-progress"] == "${{ github.event_name != 'workflow_dispatch' }}"


def test_job_with_rights_publishes_what_was_built_and_runs_none_of_it() -> None:
    jobs = load(PROJECT_CI)["jobs"]
    uses = [step["uses"].split("@")[0] for step in jobs["release"]["steps"] if "uses" in step]
    runs = [step["run"].split()[:3] for step in jobs["release"]["steps"] if "run" in step]

    assert set(uses) == {"actions/download-artifact", "actions/attest"}
    assert runs == [["gh", "release", "create"]]
    assert jobs["release"]["needs"] == "build"
    assert jobs["build"]["needs"] == ["lint", "test", "windows", "image", "supply-chain"]
    assert jobs["build"]["if"] == "startsWith(github.ref, 'refs/tags/v')"


def group_of(path: Path, event: str) -> str:
    """Return the group in which a run on main is, as GitHub does, whose operators return operands, too."""
    facts = {"workflow": "CI", "ref": "refs/heads/main", "event_name": event}

    def value(match: re.Match[str]) -> str:
        expression = match[1].replace("&&", " and ").replace("||", " or ")
        known = re.sub(r"github\.(\w+)", lambda fact: repr(facts[fact[1]]), expression)
        return str(eval(known, {}))  # noqa: S307 (of a file of ours)

    return re.sub(r"\$\{\{(.+?)\}\}", value, load(path)["concurrency"]["group"])


def test_base_image_is_the_one_that_dependabot_raises() -> None:
    folder = ROOT / TEMPLATE_FOLDER
    raised = re.findall(r"(?m)^FROM (.+)$", (folder / "base.Dockerfile").read_text("utf-8"))
    built = re.findall(r"(?m)^ARG PYTHON_IMAGE=(.+)$", (folder / "Dockerfile").read_text("utf-8"))
    assert raised == built


@BOTH
def test_no_command_is_made_of_what_others_can_write(path: Path) -> None:
    assert [step["run"] for step in steps(load(path)) if "${{" in step.get("run", "")] == []


def test_every_job_belongs_to_one_place(workflow: dict[Any, Any]) -> None:
    places = {
        name: re.match(r"needs\.place\.outputs\.place == '(\w+)'", job.get("if", ""))
        for name, job in workflow["jobs"].items()
        if name != "place"
    }
    assert {name: match and match[1] for name, match in places.items()} == {
        "bake": "copy",
        "project": "project",
        **dict.fromkeys(
            ("variant", "template", "windows", "benchmark", "faults", "full"), "template"
        ),
    }


def test_jobs_of_the_template_see_its_history(workflow: dict[Any, Any]) -> None:
    for name in ("place", "bake", "variant", "template", "faults", "full"):
        assert workflow["jobs"][name]["steps"][0]["with"]["fetch-depth"] == 0


@pytest.mark.parametrize("is_template", [True, False])
def test_first_job_sees_where_it_stands(
    workflow: dict[Any, Any], template: Path, tmp_path: Path, *, is_template: bool
) -> None:
    folder = shutil.copytree(template, tmp_path / "repository")
    make_repository(folder)
    outputs = look(workflow, folder, tmp_path, is_template=is_template)
    assert outputs["place"] == ("template" if is_template else "copy")
    assert json.loads(outputs["variants"]) == matrix()


def test_first_job_sees_a_project(workflow: dict[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    outputs = look(workflow, tmp_path / "project", tmp_path, is_template=False)
    assert outputs == {"place": "project"}


def look(
    workflow: dict[Any, Any], folder: Path, scratch: Path, *, is_template: bool
) -> dict[str, str]:
    """Run the script of the first job as the runner does, and return what it puts out."""
    repository = {"is_template": is_template, "fork": False, "default_branch": "main"}
    event, output = scratch / "event.json", scratch / "output"
    event.write_text(json.dumps({"ref": "refs/heads/main", "repository": repository}))
    (step,) = [step for step in workflow["jobs"]["place"]["steps"] if step.get("id") == "look"]
    python = scratch / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=folder,
        env=os.environ
        | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
        | {"GITHUB_EVENT_PATH": str(event), "GITHUB_OUTPUT": str(output)},
        check=True,
    )
    lines = output.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_form_offers_the_choices_of_the_template(workflow: dict[Any, Any]) -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    on = workflow[True]  # "on" is a boolean to YAML 1.1
    inputs = on["workflow_dispatch"]["inputs"]
    assert inputs.keys() == {name for name in questions if not name.startswith("_")}
    assert inputs["db_driver"]["options"] == ["default", *questions["db_driver"]]
    assert inputs["use_auth"]["options"] == ["default", "yes", "no"]
    assert inputs["license"]["options"] == ["default", *questions["license"]]


@pytest.mark.parametrize("persona", ["regular", "auditor"])
def test_linter_finds_nothing(persona: str) -> None:
    """The auditor adds what may be wrong; notes on style are below the least severity."""
    command = ["zizmor", "--offline", "--no-progress", "--persona", persona]
    folders = (ROOT / ".github", ROOT / TEMPLATE_FOLDER / ".github")
    completed = subprocess.run(
        [*command, "--min-severity=low", "--strict-collection", *folders],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert completed.returncode == 0, completed.stdout


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("vendor.github-workflows", f"{WORKFLOWS}/ci.yml"),
        ("vendor.github-workflows", f"{TEMPLATE_FOLDER}/{WORKFLOWS}/ci.yml"),
        ("vendor.dependabot", f"{TEMPLATE_FOLDER}/.github/dependabot.yml"),
    ],
)
def test_file_is_what_github_s_schema_says(schema: str, name: str) -> None:
    result = CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(ROOT / name)])
    assert result.exit_code == 0, result.output
