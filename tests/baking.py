"""Bakes projects and runs commands in them, for the tests and the demo."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uv
from cookiecutter.main import cookiecutter
from filelock import FileLock
from processes import output_of
from repositories import make_repository
from variants import Variant

ROOT = Path(__file__).parent.parent
TEMPLATE_FOLDER = "{{cookiecutter.project_slug}}"

# Variables of the surrounding run that would steer the commands in a project: its environment, what
# `uv run` and pytest tell their children, and what the project and its suite read as settings.
# Where uv finds packages and keeps its cache stays. Without bytecode every process of a project
# would compile all it imports: three times the start.
STEERING = (
    "ALLOWED_HOSTS", "API_PREFIX", "CORS_ORIGINS", "DATABASE_", "DEVELOPMENT", "ENVIRONMENT", "FORCE_COLOR",
    "LOG_", "MAIL_", "PYTEST_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PY_COLORS",
    "SECRET_KEY", "SMTP_", "TEST_DRIVER", "TRUST", "UV_FROZEN", "UV_LOCKED", "UV_NO_DEV",
    "UV_NO_SYNC", "UV_PROJECT", "UV_RUN_", "UV_WORKING_DIR", "VIRTUAL_ENV",
)  # fmt: skip


def copy_template(destination: Path) -> Path:
    """Copy the repository's files, and nothing that running the template in place has left."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in listing.stdout.decode().split("\0"):
        source = ROOT / name
        if (
            source.is_file()
        ):  # neither the empty name after the last \0 nor a file deleted since the last commit
            copy = destination / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    return destination


def extract_template(commit: str, destination: Path) -> Path:
    """Write the files of the repository at a commit to a new folder, and return it."""
    destination.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "--extract"], cwd=destination, input=archive.stdout, check=True)
    return destination


def write_settings(folder: Path) -> Path:
    """Write settings of cookiecutter that keep all its files in a folder, and return their path."""
    settings = folder / "settings.yaml"
    settings.write_text(
        f"replay_dir: '{folder}'\ncookiecutters_dir: '{folder}'\n", encoding="utf-8"
    )
    return settings


def bake(template: Path, output_dir: Path, **answers: object) -> Path:
    """Bake a project with the defaults and these answers, whatever the user's own cookiecutter settings are."""
    with tempfile.TemporaryDirectory() as folder:
        project = cookiecutter(
            str(template),
            no_input=True,
            extra_context=answers,
            output_dir=str(output_dir),
            config_file=str(write_settings(Path(folder))),
        )
    return Path(project)


def bake_repository(
    template: Path, output_dir: Path, variant: Variant, *, with_lock: bool = False
) -> Path:
    """Bake a variant with the defaults, and commit it. Writing `uv.lock` installs the environment."""
    output_dir.mkdir(parents=True, exist_ok=True)
    project = bake(template, output_dir, db_driver=variant.db_driver, use_auth=variant.use_auth)
    if with_lock:
        run(project, "python", "-V")
    return make_repository(project)


def made_once(folder: Path, make: Callable[[Path], Any]) -> Any:
    """Return what `make` says of the new folder. The first worker that asks makes it, the others wait.

    It must be what JSON holds.
    """
    record = folder.with_name(f"{folder.name}.json")
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not record.exists():
            folder.mkdir()
            record.write_text(json.dumps(make(folder)), encoding="utf-8")
        return json.loads(record.read_text(encoding="utf-8"))


def uv_executable() -> str:
    """Return the uv that runs us, else one on the PATH, else that of the development environment."""
    return os.environ.get("UV") or shutil.which("uv") or uv.find_uv_bin()


# pytest's last line when nothing failed or warned.
CLOSING_LINE = re.compile(r"^=* ?(\d+ passed(?:, (?P<skipped>\d+) skipped)? in .+?) ?=*$")
SKIPPED = re.compile(r"^SKIPPED \[(\d+)\] \S+: (.+)$", re.MULTILINE)
# Why a suite may skip a test where the run does not demand containers: there is no engine to start one
# with TLS, and the embedded server asks for no password.
WITHOUT_CONTAINERS = {"Docker is not running", "this server trusts every user"}


def project_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for commands in a project: ours without what steers our own run."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(STEERING)
    }
    # The Python that runs us, which is how CI chooses one for a variant.
    return environment | {"UV_PYTHON": sys.executable} | dict(extra or {})


def run(project: Path, *command: str, env: Mapping[str, str] | None = None) -> str:
    """Run `uv run <command>` in the project and return its output; raise AssertionError with it on failure."""
    return run_uv(project, "run", *command, env=env)


def run_check(project: Path, workspace: Path, *command: str) -> None:
    """Run a check of a project; raise AssertionError with its output if it fails.

    Runs of mypy share a cache, and wait for each other: the first one checks the packages, which takes
    longer than the rest.
    """
    if command[0] == "mypy":
        with FileLock(workspace / "mypy.lock"):
            run(project, *command, env={"MYPY_CACHE_DIR": str(workspace / "mypy")})
    else:
        run(project, *command)


def run_suite(project: Path, *options: str, env: Mapping[str, str] | None = None) -> str:
    """Run a project's tests and return pytest's last line; raise AssertionError as `closing_line`."""
    # See the fixture `workspace`.
    env = {"PYTEST_DEBUG_TEMPROOT": str(project.parent)} | dict(env or {})
    output = run(project, "pytest", "-rs", *options, env=env)
    return closing_line(output, demands_containers=os.environ.get("TEST_POSTGRES") == "container")


def closing_line(output: str, *, demands_containers: bool) -> str:
    """Return pytest's last line, which says how many tests passed.

    Raise AssertionError unless all of them passed, without a warning, and none was skipped, but for
    want of containers where they are not demanded.
    """
    line = CLOSING_LINE.match(output.rstrip().splitlines()[-1])
    assert line, f"not all tests passed, and nothing but that:\n{output}"
    reasons = set() if demands_containers else WITHOUT_CONTAINERS
    allowed = sum(int(number) for number, why in SKIPPED.findall(output) if why in reasons)
    assert int(line["skipped"] or 0) == allowed, f"other tests were skipped:\n{output}"
    return line[1]


def run_uv(project: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    return output_of(uv_executable(), *arguments, folder=project, env=project_environment(env))
