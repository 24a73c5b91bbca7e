"""A repository made by "Use this template" turns into the project on its first push, in real repositories of git."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from baking import bake
from repositories import NO_SETTINGS, commit_all, git, make_repository

# GitHub refuses a push by GITHUB_TOKEN that changes a workflow, and so does the remote of these tests.
PRE_RECEIVE = """\
#!/bin/sh
while read -r old new ref; do
  if [ -n "$(git diff --name-only "$old" "$new" -- .github/workflows)" ]; then
    echo "refusing to allow a GitHub App to create or update workflow without workflows permission"
    exit 1
  fi
done
"""

WORKFLOW = ".github/workflows/ci.yml"

BOT = "github-actions[bot] <41898282+github-actions[bot]@users.noreply.github.com>"


@dataclass(frozen=True)
class Copy:
    """What "Use this template" makes: the template's files in one commit, a remote, and a checkout of it."""

    checkout: Path
    remote: Path
    script: Path  # kept aside, for baking removes it

    def event(self, **repository: object) -> dict[str, Any]:
        facts = {
            "name": "order-service",
            "description": "Takes orders.",
            "default_branch": "main",
            "is_template": False,
            "fork": False,
            "owner": {"login": "ada", "id": 1815},
        }
        return {"ref": "refs/heads/main", "repository": facts | repository}

    def run(
        self, event: Mapping[str, Any], *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script as the workflow does."""
        path = self.script.with_name("event.json")
        path.write_text(json.dumps(event), encoding="utf-8")
        return subprocess.run(
            [sys.executable, self.script, *arguments],
            cwd=self.checkout,
            env=os.environ | NO_SETTINGS | {"GITHUB_EVENT_PATH": str(path)} | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def bake(self, event: Mapping[str, Any], **environment: str) -> str:
        completed = self.run(event, **environment)
        assert completed.returncode == 0, completed.stdout + completed.stderr
        return completed.stdout

    def head(self) -> str:
        return git(self.remote, "rev-parse", "main")

    def clone(self, folder: Path) -> Path:
        """Return what somebody gets who clones the repository now."""
        git(folder.parent, "clone", "--quiet", str(self.remote), str(folder))
        return folder


@pytest.fixture
def copy(template: Path, tmp_path: Path) -> Copy:
    return make_copy(template, tmp_path)


def make_copy(files: Path, folder: Path) -> Copy:
    checkout, remote, script = folder / "checkout", folder / "remote.git", folder / "bake.py"
    shutil.copytree(files, checkout, ignore=shutil.ignore_patterns(".git"))
    make_repository(checkout)
    git(folder, "clone", "--quiet", "--bare", str(checkout), str(remote))
    git(checkout, "remote", "add", "origin", str(remote))
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(PRE_RECEIVE, encoding="utf-8")
    hook.chmod(0o755)
    shutil.copy(files / ".github" / "bake.py", script)
    return Copy(checkout, remote, script)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def test_first_push_turns_the_repository_into_the_project_in_one_commit(
    copy: Copy, template: Path, tmp_path: Path
) -> None:
    before = copy.head()
    copy.bake(copy.event())
    assert git(copy.remote, "rev-list", f"{before}..main").splitlines() == [copy.head()]
    assert git(copy.remote, "show", "--no-patch", "--format=%P|%an <%ae>|%s", "main") == (
        f"{before}|{BOT}|Bake order-service from its template"
    )
    answers = {
        "project_name": "order-service",
        "description": "Takes orders.",
        "author_name": "ada",
        "author_email": "1815+ada@users.noreply.github.com",
    }
    (tmp_path / "output").mkdir()
    expected = files(bake(template, tmp_path / "output", **answers))
    expected[".github/ci.yml"] = expected[WORKFLOW]
    expected[WORKFLOW] = files(template)[WORKFLOW]
    assert files(copy.clone(tmp_path / "clone")) == expected


def test_commit_changes_no_workflow(copy: Copy) -> None:
    before = copy.head()
    copy.bake(copy.event())
    assert git(copy.remote, "diff", "--name-only", before, "main", "--", ".github/workflows") == ""
    assert git(copy.remote, "diff", "--name-only", before, "main", "--", "README.md") == "README.md"


def test_commit_says_how_to_replace_the_workflow_and_that_completes_the_project(
    copy: Copy, template: Path, tmp_path: Path
) -> None:
    copy.bake(copy.event(), PROJECT_NAME="Orders", DESCRIPTION="Takes them.", AUTHOR_NAME="Ada")
    clone = copy.clone(tmp_path / "clone")
    body = git(clone, "show", "--no-patch", "--format=%b")
    (command,) = re.findall(r"^    (git mv .+)$", body, flags=re.MULTILINE)
    subprocess.run(command, shell=True, cwd=clone, check=True)  # noqa: S602
    (tmp_path / "output").mkdir()
    answers = {"project_name": "Orders", "description": "Takes them.", "author_name": "Ada"}
    email = "1815+ada@users.noreply.github.com"
    baked = bake(template, tmp_path / "output", **answers, author_email=email)
    assert files(clone) == files(baked)


@pytest.mark.slow
def test_run_and_workflow_say_how_to_replace_the_workflow(
    copy: Copy, template: Path, tmp_path: Path
) -> None:
    command = "git mv -f .github/ci.yml .github/workflows/ci.yml"
    summary = tmp_path / "summary.md"
    printed = copy.bake(copy.event(), GITHUB_STEP_SUMMARY=str(summary))
    assert re.search(rf"^::notice .*: {re.escape(command)}$", printed, flags=re.MULTILINE)
    assert command in summary.read_text(encoding="utf-8")
    workflow = (template / WORKFLOW).read_text(encoding="utf-8")
    assert f"\n#     {command}\n" in workflow
    assert f"REPLACE: {command}\n" in workflow


@pytest.mark.slow
def test_second_push_does_nothing(copy: Copy) -> None:
    copy.bake(copy.event())
    (copy.checkout / "README.md").write_text("Mine.\n", encoding="utf-8")
    second = commit_all(copy.checkout, "Describe it")
    assert copy.bake(copy.event()) == "Nothing to bake: this is a project.\n"
    assert git(copy.checkout, "rev-parse", "HEAD") == second
    assert git(copy.checkout, "status", "--porcelain") == ""


@pytest.mark.slow
def test_push_before_the_bake_has_ended_is_kept_in_the_history(copy: Copy) -> None:
    (copy.checkout / "README.md").write_text("Mine.\n", encoding="utf-8")
    second = commit_all(copy.checkout, "Describe it")
    git(copy.checkout, "push", "--quiet", "origin", "main")
    copy.bake(copy.event())
    assert git(copy.remote, "rev-parse", "main^") == second


@pytest.mark.slow
def test_form_goes_before_variables_and_these_before_the_event(copy: Copy, tmp_path: Path) -> None:
    form = {"project_name": "Billing", "use_auth": "no", "db_driver": "default", "description": ""}
    variables = {"PROJECT_NAME": "Ignored", "DB_DRIVER": "psycopg", "LICENSE": "Proprietary"}
    copy.bake(copy.event() | {"inputs": form}, **variables)
    project = copy.clone(tmp_path / "clone")
    assert 'name = "billing"' in (project / "pyproject.toml").read_text(encoding="utf-8")
    assert (project / "README.md").read_text(encoding="utf-8").startswith("# Billing\n\nTakes")
    assert (project / "app/core/database/drivers/psycopg_driver.py").exists()
    assert not (project / "app/core/database/drivers/asyncpg_driver.py").exists()
    assert not (project / "app/core/security").exists()
    assert not (project / "LICENSE").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "slug"), [("My.Repo", "my-repo"), ("a_b--c.", "a-b-c")], ids=["dots", "underscores"]
)
def test_dirty_name_bakes(copy: Copy, tmp_path: Path, name: str, slug: str) -> None:
    copy.bake(copy.event(name=name, description=None))
    project = copy.clone(tmp_path / "clone")
    assert f'name = "{slug}"' in (project / "pyproject.toml").read_text(encoding="utf-8")
    assert title_and_description(project) == (name, "A FastAPI service on PostgreSQL.")


@pytest.mark.slow
@pytest.mark.parametrize(
    "description",
    ["Über 🚀 \"quotes\" 'and' \\ {{ braces }} # {% if %} `$(id)` ${{ x }}", "long " * 69],
    ids=["hostile", "350 characters"],
)
def test_dirty_description_bakes(copy: Copy, tmp_path: Path, description: str) -> None:
    copy.bake(copy.event(description=description))
    _, baked = title_and_description(copy.clone(tmp_path / "clone"))
    assert baked == description or (len(baked) == 200 and baked.removesuffix("…") in description)


def title_and_description(project: Path) -> tuple[str, str]:
    scope: dict[str, str] = {}
    exec((project / "app/__init__.py").read_text(encoding="utf-8"), scope)  # noqa: S102
    return scope["__title__"], scope["__description__"]


@pytest.mark.parametrize(
    ("facts", "environment", "reason"),
    [
        ({"name": "app"}, {}, "project_slug 'app' is a name that the project uses inside: "),
        ({"name": "123"}, {}, "project_slug '123' must start with a lower-case letter"),
        ({"name": "con"}, {}, "project_slug 'con' is a name that Windows keeps for a device: "),
        ({"name": "-"}, {}, "project_name '-' has no letter or digit"),
        ({}, {"PROJECT_SLUG": "a/b"}, "project_slug 'a/b' must start with a lower-case letter "),
        ({"description": "a\u202eb"}, {}, "holds the control character U+202E: leave it out."),
        ({}, {"DB_DRIVER": "mysql"}, "mysql provided for choice variable db_driver"),
        ({}, {"USE_AUTH": "perhaps"}, "perhaps"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_answers_that_cannot_work_leave_all_as_it_was_and_say_what_to_set(
    copy: Copy, facts: dict[str, str], environment: dict[str, str], reason: str
) -> None:
    before = copy.head()
    completed = copy.run(copy.event(**facts), **environment)
    assert completed.returncode == 1
    assert reason in completed.stderr
    assert "Traceback" not in completed.stderr
    assert "::error::There is no project yet: " in completed.stderr
    assert "set a repository variable" in completed.stderr
    assert copy.head() == before == git(copy.checkout, "rev-parse", "HEAD")
    assert git(copy.checkout, "status", "--porcelain") == ""


@pytest.mark.slow
def test_another_answer_mends_it(copy: Copy) -> None:
    assert copy.run(copy.event(name="app")).returncode == 1
    copy.bake(copy.event(name="app"), PROJECT_SLUG="orders")
    assert "orders" in git(copy.remote, "show", "main:pyproject.toml")


@pytest.mark.parametrize(
    "facts",
    [{"is_template": True}, {"fork": True}, {"default_branch": "trunk"}],
    ids=["template", "fork", "another branch"],
)
def test_template_repository_itself_never_bakes(copy: Copy, facts: dict[str, object]) -> None:
    before = copy.head()
    assert copy.bake(copy.event(**facts)) == "Nothing to bake: this is a template.\n"
    assert copy.run(copy.event(**facts), "place").stdout == "place=template\n"
    assert copy.head() == before == git(copy.checkout, "rev-parse", "HEAD")


def test_event_that_says_nothing_of_the_repository_bakes_nothing(copy: Copy) -> None:
    assert copy.bake({"schedule": "17 4 * * 1"}) == "Nothing to bake: this is a template.\n"


def test_mirror_of_the_template_never_bakes(copy: Copy) -> None:
    """Not flagged as a template, it still has the template's history."""
    hook = copy.checkout / "hooks" / "post_gen_project.py"
    hook.write_text(hook.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    commit_all(copy.checkout, "Work on the template")
    assert copy.bake(copy.event()) == "Nothing to bake: this is a template.\n"


def test_project_is_linked_to_the_commit_of_the_template(copy: Copy, tmp_path: Path) -> None:
    template = tmp_path / "template"
    shutil.copytree(copy.checkout, template, ignore=shutil.ignore_patterns(".git"))
    make_repository(template)
    (template / "CHANGELOG.md").write_text("Later.\n", encoding="utf-8")
    commit_all(template, "Go on")
    copy.bake(copy.event(), TEMPLATE_URL=template.as_uri())
    state = json.loads(git(copy.remote, "show", "main:.cruft.json"))
    commit = git(template, "rev-parse", "main^")
    assert (state["template"], state["commit"]) == (template.as_uri(), commit)
    context = state["context"]["cookiecutter"]
    assert (context["_template"], context["_commit"]) == (template.as_uri(), commit)
    assert context["project_name"] == "order-service"


@pytest.mark.parametrize("url", ["", "file:///nowhere"])
def test_unknown_template_is_said(copy: Copy, url: str) -> None:
    assert "uvx cruft link <URL of the template>" in copy.bake(copy.event(), TEMPLATE_URL=url)
    assert ".cruft.json" not in git(copy.remote, "ls-tree", "--name-only", "main").splitlines()


@pytest.mark.slow
def test_workflow_that_somebody_changed_is_not_touched(template: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(template, tmp_path / "changed")
    (changed / WORKFLOW).write_text("name: Mine\n", encoding="utf-8")
    (tmp_path / "copy").mkdir()
    copy = make_copy(changed, tmp_path / "copy")
    copy.bake(copy.event())
    assert git(copy.remote, "show", f"main:{WORKFLOW}") == "name: Mine"


@pytest.mark.slow
def test_push_that_is_refused_says_so(copy: Copy, tmp_path: Path) -> None:
    other = copy.clone(tmp_path / "other")
    (other / "README.md").write_text("Mine.\n", encoding="utf-8")
    newest = commit_all(other, "Be faster")
    git(other, "push", "--quiet", "origin", "main")
    completed = copy.run(copy.event())
    assert completed.returncode == 1
    assert "git refused to push it" in completed.stderr
    assert copy.head() == newest
