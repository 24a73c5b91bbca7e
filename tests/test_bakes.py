"""A bake is the same by every tool that may bake, makes no connection, and takes no harm from where it runs."""

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from baking import ROOT, TEMPLATE_FOLDER, closing_line, copy_template, uv_executable, write_settings
from parameters import FIRST, LAST, in_each_run
from repositories import IDENTITY, git, make_repository
from variants import OLDEST_COOKIECUTTER, Variant

TOOLS = {
    f"cookiecutter {OLDEST_COOKIECUTTER}": f"cookiecutter=={OLDEST_COOKIECUTTER}",
    "the newest cookiecutter": "cookiecutter",
    "cruft": "cruft",
}

NEXT_STEPS = "Next:\n  cd demo-service\n  git init && "

# Python runs it at the start of every process whose path it is on: cookiecutter's and the hooks'.
FORBID_CONNECTIONS = """
import sys

def forbid(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}:
        print(f"forbidden: {event} {arguments}", file=sys.stderr, flush=True)
        raise PermissionError(event)

sys.addaudithook(forbid)
print("guarded", file=sys.stderr, flush=True)
"""

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of the template, with a name as people give to folders."""
    folder = tmp_path_factory.mktemp("repositories") / "Vorlage für 服务"
    return make_repository(copy_template(folder))


def start(
    *command: object,
    folder: Path,
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command without the user's own settings."""
    settings = write_settings(folder.parent)
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ
        | IDENTITY
        | {"COOKIECUTTER_CONFIG": str(settings), "PWD": str(folder)}
        | dict(env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        preexec_fn=before,
    )


def bake_in(
    folder: Path, template: Path, *arguments: str, **options: object
) -> subprocess.CompletedProcess[str]:
    """Bake the defaults in a folder by the cookiecutter of the development environment."""
    folder.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "cookiecutter", template, "--no-input", *arguments)
    return start(*command, folder=folder, **options)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("variant", in_each_run(LAST, slow=FIRST))
def test_tools_bake_the_same_byte_for_byte(
    repository: Path, tmp_path: Path, variant: Variant
) -> None:
    answers = {"db_driver": variant.db_driver, "use_auth": "yes" if variant.use_auth else "no"}
    bakes = {}
    for name, requirement in TOOLS.items():
        output = tmp_path / name
        output.mkdir()
        uv_run = (uv_executable(), "run", "--quiet", "--isolated", "--no-project")
        command: tuple[object, ...] = (*uv_run, "--python", sys.executable, "--with", requirement)
        if name == "cruft":
            context = ("--extra-context", json.dumps(answers))
            command += ("cruft", "create", repository, "--no-input", *context)
        else:
            arguments = (f"{question}={answer}" for question, answer in answers.items())
            command += ("cookiecutter", repository, "--no-input", *arguments)
        completed = start(*command, folder=output)
        assert completed.returncode == 0, completed.stdout
        assert NEXT_STEPS in completed.stdout
        bakes[name] = files(output / "demo-service")
    assert ".cruft.json" in bakes["cruft"]
    assert all(bake == bakes["cruft"] for bake in bakes.values())


def test_older_cookiecutter_is_refused_rather_than_taken_at_its_word(
    repository: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    uv_run = (uv_executable(), "run", "--quiet", "--isolated", "--no-project", "--with")
    command = (*uv_run, "cookiecutter==2.6.0", "cookiecutter", repository, "--no-input")
    completed = start(*command, "use_auth=no", folder=output)
    assert completed.returncode == 1
    assert "This cookiecutter is older than 2.7" in completed.stdout
    assert list(output.iterdir()) == []


def test_readme_says_which_cookiecutter_is_the_oldest() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"cookiecutter (\d[\d.]+\d) or newer", readme) == [OLDEST_COOKIECUTTER]


def guard(folder: Path) -> dict[str, str]:
    """Return the environment in which no Python connects, and git has no transport."""
    (folder / "sitecustomize.py").write_text(FORBID_CONNECTIONS, encoding="utf-8")
    return {"PYTHONPATH": str(folder), "GIT_ALLOW_PROTOCOL": "none"}


def test_bake_makes_no_connection(repository: Path, tmp_path: Path) -> None:
    completed = bake_in(tmp_path / "output", repository, env=guard(tmp_path))
    assert completed.returncode == 0, completed.stdout
    assert completed.stdout.count("guarded") == 3  # cookiecutter and both hooks
    assert "forbidden" not in completed.stdout
    assert (tmp_path / "output" / "demo-service" / ".cruft.json").exists()


def test_guard_against_connections_holds(tmp_path: Path) -> None:
    connect = "import socket; socket.create_connection(('127.0.0.1', 9))"
    completed = start(sys.executable, "-c", connect, folder=tmp_path, env=guard(tmp_path))
    assert completed.returncode == 1
    assert "forbidden: socket.getaddrinfo" in completed.stdout


def test_path_with_spaces_and_other_scripts_is_no_matter(repository: Path, tmp_path: Path) -> None:
    plain, hostile = tmp_path / "plain", tmp_path / "Ausgabe für 'alle' 出力 $(id) #1"
    for output in (plain, hostile):
        completed = bake_in(output, repository)
        assert completed.returncode == 0
        assert completed.stdout.startswith(NEXT_STEPS)
    assert files(plain) == files(hostile)
    state = json.loads(files(hostile)["demo-service/.cruft.json"])
    assert state["template"] == str(repository)
    assert state["commit"] == git(repository, "rev-parse", "HEAD")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permission")
def test_parent_that_cannot_be_written_to_stays_as_it_is(repository: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o555)
    completed = bake_in(parent, repository, before=obey_permissions)
    assert completed.returncode == 1
    assert "Permission denied" in completed.stdout
    assert list(parent.iterdir()) == []


def obey_permissions() -> None:
    """Have root's process be refused what anybody else's would be."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


OWN = (
    "app/services/auth/__init__.py", "tests/auth/__init__.py", "app/core/mail/__init__.py",
    "app/core/security/passwords.py", "app/cli/users.py", "app/core/types_without_auth.py",
)  # fmt: skip
LEFT_BY_RUNNING = (".env", "uv.lock", ".postgres/lock", ".venv/pyvenv.cfg")


@pytest.mark.parametrize(
    ("tool", "skip"),
    [
        pytest.param("cookiecutter", True, marks=pytest.mark.slow),
        ("cookiecutter", False),
        pytest.param("cruft", False, marks=pytest.mark.slow),
    ],
)
def test_bake_over_a_project_removes_nothing_of_it(
    tmp_path: Path, tool: str, *, skip: bool
) -> None:
    """The team's files stand where another variant has some, and where the template was run in place."""
    template = make_repository(copy_template(tmp_path / "template"))
    for name in LEFT_BY_RUNNING:
        path = template / TEMPLATE_FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("The template's.", encoding="utf-8")
    output = tmp_path / "output"
    command: tuple[object, ...] = (sys.executable, "-m", tool)
    if tool == "cruft":
        context = json.dumps({"use_auth": False})
        command += ("create", template, "--no-input", "--extra-context", context)
    else:
        command += (template, "--no-input", "use_auth=no")
    output.mkdir()
    assert start(*command, folder=output).returncode == 0
    project = output / "demo-service"
    assert not {*LEFT_BY_RUNNING, *OWN} & files(project).keys()
    for name in (*OWN, *LEFT_BY_RUNNING, ".venv/bin/python"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Ours.", encoding="utf-8")
    make_repository(project)
    for name in ("README.md", "app/dependencies/caller.py", "LICENSE"):
        (project / name).write_text("Ours.", encoding="utf-8")
    before = files(project)

    options = ["--overwrite-if-exists", *(["--skip-if-file-exists"] if skip else [])]
    completed = start(*command, *options, folder=output)

    assert completed.returncode == 0, completed.stdout
    after = files(project)
    assert after.keys() == before.keys()
    changed = {name for name in before if after[name] != before[name] and name[:5] != ".git/"}
    overwritten = {"README.md", "app/dependencies/caller.py", "LICENSE"}
    assert changed == (set() if skip else overwritten)


@pytest.mark.parametrize("is_file", [False, True], ids=["folder", "file"])
def test_what_exists_is_not_overwritten(repository: Path, tmp_path: Path, *, is_file: bool) -> None:
    path = tmp_path / "output" / "demo-service"
    mine = path if is_file else path / "README.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("Mine.", encoding="utf-8")
    before = files(tmp_path / "output")
    completed = bake_in(tmp_path / "output", repository)
    assert completed.returncode == 1
    assert "demo-service" in completed.stdout
    assert "exists" in completed.stdout
    assert files(tmp_path / "output") == before


def test_without_git_the_project_is_whole_and_the_bake_says_what_is_missing(
    repository: Path, tmp_path: Path
) -> None:
    with_git, without = tmp_path / "with", tmp_path / "without"
    assert bake_in(with_git, repository).returncode == 0
    completed = bake_in(without, repository, env={"PATH": str(tmp_path)})
    assert completed.returncode == 0
    assert "uvx cruft link" in completed.stdout
    whole = files(with_git)
    del whole["demo-service/.cruft.json"]
    assert files(without) == whole


def test_bake_without_hooks_says_that_it_is_no_project(repository: Path, tmp_path: Path) -> None:
    with_hooks, without = tmp_path / "with", tmp_path / "without"
    assert bake_in(with_hooks, repository).returncode == 0
    assert bake_in(without, repository, "--accept-hooks", "no").returncode == 0

    assert b"bake again with the hooks" in files(without)["demo-service/UNFINISHED.md"]
    assert b"(UNFINISHED.md)" in files(without)["demo-service/README.md"]
    assert "demo-service/UNFINISHED.md" not in files(with_hooks)
    assert b"UNFINISHED" not in files(with_hooks)["demo-service/README.md"]


NO_TLS = "SKIPPED [10] tests/platform/database/test_tls.py:35: Docker is not running"
OTHER = "SKIPPED [1] tests/test_posts.py:7: not today"


@pytest.mark.parametrize(
    ("lines", "demands_containers", "is_good"),
    [
        (["== 7 passed in 1.00s =="], True, True),
        (["7 passed in 1.00s"], False, True),
        (["== 7 passed, 1 warning in 1.00s =="], False, False),
        (["== 1 failed, 7 passed in 1.00s =="], False, False),
        ([NO_TLS, "== 7 passed, 10 skipped in 1.00s =="], False, True),
        ([NO_TLS, "== 7 passed, 10 skipped in 1.00s =="], True, False),
        ([NO_TLS, OTHER, "== 7 passed, 11 skipped in 1.00s =="], False, False),
        (["== 7 passed, 10 skipped in 1.00s =="], False, False),
    ],
)
def test_suite_is_good_if_all_that_can_run_has_passed(
    lines: list[str], demands_containers: bool, is_good: bool
) -> None:
    output = "\n".join(lines)
    try:
        closing_line(output, demands_containers=demands_containers)
    except AssertionError:
        assert not is_good
    else:
        assert is_good
