"""The hooks as modules: what they refuse, what they remove."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import post_gen_project
import pre_gen_project
import pytest
from baking import ROOT, TEMPLATE_FOLDER, write_settings
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repositories import commit_all, git, make_repository

DRIVERS = ("asyncpg", "psycopg")
GOOD_ANSWERS: dict[str, Any] = {
    "project_name": "Demo Service",
    "project_slug": "demo-service",
    "description": "",
    "author_name": "Ada Lovelace",
    "author_email": "ada@example.com",
    "db_driver": "asyncpg",
    "use_auth": True,
    "license": "MIT",
}


def find_problem(**answers: str) -> str | None:
    return pre_gen_project.find_problem(GOOD_ANSWERS | answers)


@pytest.mark.parametrize(
    "slug", ["demo", "demo-service", "demo_service", "v2-api3", "a", "a" * 50, "fastapi-app"]
)
def test_usable_slug_is_accepted(slug: str) -> None:
    assert find_problem(project_slug=slug) is None


@pytest.mark.parametrize(
    ("slug", "reason"),
    [
        ("", "must start with"),
        ("3d-printer", "must start with"),
        ("-demo", "must start with"),
        ("demo-", "must start with"),
        ("demo--service", "must start with"),
        ("demo-_service", "must start with"),
        ("Demo", "must start with"),
        ("demo service", "must start with"),
        ("demo.service", "must start with"),
        ("../demo", "must start with"),
        ("démo", "must start with"),
        ("demo²", "must start with"),
        ("a" * 51, "keep it to 50"),
        ("class", "Python keyword"),
        ("json", "standard library"),
        ("asyncio", "standard library"),
        ("app", "uses inside"),
        ("test", "uses inside"),
        ("tests", "uses inside"),
        ("con", "Windows"),
        ("nul", "Windows"),
        ("com1", "Windows"),
        ("lpt9", "Windows"),
        ("template1", "PostgreSQL"),
        ("pgbouncer", "PgBouncer's own database"),
        ("scratch", "Docker reserves"),
        ("default", "Kubernetes"),
        ("kube_system", "Kubernetes"),
        ("fastapi", "depends on"),
        ("pydantic-core", "depends on"),
        ("pydantic_core", "depends on"),
    ],
)
def test_unusable_slug_is_refused_by_name_with_a_remedy(slug: str, reason: str) -> None:
    problem = find_problem(project_slug=slug)
    assert problem is not None
    assert problem.startswith(f"project_slug {slug!r} ")
    assert reason in problem
    assert ": answer with " in problem or ": keep it to " in problem


def test_name_without_letters_asks_for_a_slug() -> None:
    problem = find_problem(project_name="🚀", project_slug=pre_gen_project.NO_SLUG)
    assert problem is not None
    assert "'🚀' has no letter or digit" in problem
    assert "answer project_slug yourself" in problem


@pytest.mark.parametrize("name", pre_gen_project.TEXTS)
@pytest.mark.parametrize(
    "character", ["\n", "\t", "\0", "\x1b", "\x85", "\u2028", "\udcff", "\u202e", "\uffff"]
)
def test_control_character_is_refused_in_every_text(name: str, character: str) -> None:
    problem = find_problem(**{name: f"a{character}b"})
    assert problem is not None
    assert problem.startswith(f"{name} ")
    assert f"U+{ord(character):04X}: leave it out." in problem
    problem.encode()


@pytest.mark.parametrize("name", pre_gen_project.TEXTS)
def test_text_of_more_than_200_characters_is_refused(name: str) -> None:
    problem = find_problem(**{name: "a" * 201})
    assert problem == f"{name} 'aaaaaaaaaaaaaaaaaaaa...' has 201 characters: keep it to 200."


@pytest.mark.parametrize("name", ["project_name", "author_name"])
@pytest.mark.parametrize("text", ["", " ", "\u3000"])
def test_empty_name_is_refused(name: str, text: str) -> None:
    assert (
        find_problem(**{name: text})
        == f"{name} {text!r} is empty: answer with at least one character."
    )


@pytest.mark.parametrize(
    "email", ["ada@example.com", "a.b+c_d-e@mail.example.co.uk", "ADA@EXAMPLE.COM"]
)
def test_plain_email_is_accepted(email: str) -> None:
    assert find_problem(author_email=email) is None


@pytest.mark.parametrize(
    "email",
    [
        "", "ada", "@example.com", "ada@", "ada@example", "ada@-example.com", "ada@example..com", ".ada@example.com",
        "ada lovelace@example.com", "<ada@example.com>", '"ada"@example.com', "o'reilly@example.com", "a@b@example.com",
    ],
)  # fmt: skip
def test_other_email_is_refused(email: str) -> None:
    problem = find_problem(author_email=email)
    assert problem is not None
    assert problem.startswith(f"author_email {email!r} is not a plain e-mail address: answer with ")


@given(st.dictionaries(st.sampled_from(pre_gen_project.TEXTS), st.text()))
def test_any_answers_are_accepted_or_refused_in_one_sentence(answers: dict[str, str]) -> None:
    problem = find_problem(**answers)
    if problem is not None:
        assert len(problem.splitlines()) == 1
        assert problem.endswith(".")
        problem.encode()


def test_main_says_the_problem_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pre_gen_project.main(GOOD_ANSWERS, tmp_path) == 0
    assert capsys.readouterr() == ("", "")
    assert pre_gen_project.main(GOOD_ANSWERS | {"author_name": ""}, tmp_path) == 1
    assert capsys.readouterr() == (
        "",
        "author_name '' is empty: answer with at least one character.\n",
    )


@pytest.mark.parametrize("answers", [{"use_auth": "no"}, {"__project_slug": "# demo-service"}])
def test_cookiecutter_that_is_too_old_is_noticed_by_its_answers(answers: dict[str, str]) -> None:
    problem = find_problem(**answers)
    assert problem is not None
    assert problem.endswith("run uvx cookiecutter@latest.")


def test_every_direct_dependency_is_refused_as_a_slug() -> None:
    pyproject = tomllib.loads(
        (ROOT / TEMPLATE_FOLDER / "pyproject.toml").read_text(encoding="utf-8")
    )
    requirements = [
        *pyproject["project"]["dependencies"],
        *pyproject["build-system"]["requires"],
        *(
            requirement
            for groups in (
                pyproject["dependency-groups"],
                pyproject["project"]["optional-dependencies"],
            )
            for group in groups.values()
            for requirement in group
        ),
    ]
    direct = {canonicalize_name(Requirement(requirement).name) for requirement in requirements}
    assert direct <= pre_gen_project.DEPENDENCIES


@pytest.mark.parametrize(
    ("tool", "answers", "sentence"),
    [
        ("cookiecutter", {"project_name": "🚀"}, "project_name '🚀' has no letter or digit to "),
        ("cookiecutter", {"project_slug": ""}, "project_slug '' must start with a lower-case "),
        ("cookiecutter", {"project_slug": ".."}, "project_slug '..' must start with a lower-case "),
        ("cookiecutter", {"project_slug": "../up"}, "project_slug '../up' must start with a "),
        ("cookiecutter", {"project_slug": "class"}, "project_slug 'class' is a Python keyword: "),
        ("cookiecutter", {"author_email": "me"}, "author_email 'me' is not a plain e-mail "),
        (
            "cookiecutter",
            {"author_name": 'two\nlines """'},
            'author_name \'two\\nlines """\' holds the control character U+000A: ',
        ),
        ("cruft", {"project_slug": "a/b"}, "project_slug 'a/b' must start with a lower-case "),
        ("cruft", {"project_slug": "fastapi"}, "project_slug 'fastapi' is a package that "),
    ],
)
def test_refused_bake_says_why_in_one_sentence_and_leaves_nothing(
    template: Path, tmp_path: Path, tool: str, answers: dict[str, str], sentence: str
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    arguments = [f"{name}={answer}" for name, answer in answers.items()]
    command = ["cookiecutter", str(template), "--no-input", *arguments]
    if tool == "cruft":
        repository = make_repository(shutil.copytree(template, tmp_path / "template"))
        command = ["cruft", "create", str(repository), "--no-input"]
        command += ["--extra-context", json.dumps(answers)]
    completed = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=output,
        env=os.environ | {"COOKIECUTTER_CONFIG": str(write_settings(tmp_path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (completed.returncode, completed.stdout) == (1, "")
    assert completed.stderr.startswith(sentence)
    assert re.fullmatch(r".+\.\n", completed.stderr)
    assert list(output.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_refused_answer_on_a_terminal_keeps_the_others(template: Path, tmp_path: Path) -> None:
    description = r"""C:\{{ "Ünits" }} # {% if %} {# 'n' #} 🚀"""
    typed = ("My Shop", "shop", "no", "2", description, "Ada O'Neil", "nobody", "4")
    completed = bake_on_a_terminal(template, tmp_path, typed)
    assert completed.returncode == 1
    first, second = completed.stderr.splitlines()
    assert first.startswith("author_email 'nobody' is not a plain e-mail address: ")
    arguments = shlex.split(second.partition(": ")[2])
    answers = dict(argument.split("=", 1) for argument in arguments)
    assert answers.pop("description").startswith("{{")  # the text would be rendered
    assert answers == {
        "project_name": "My Shop",
        "project_slug": "shop",
        "use_auth": "no",
        "db_driver": "psycopg",
        "author_name": "Ada O'Neil",
        "license": "Proprietary",
    }

    assert bake_on_a_terminal(template, tmp_path, [""] * 8, *arguments).returncode == 0

    scope: dict[str, str] = {}
    exec((tmp_path / "shop/app/__init__.py").read_text(encoding="utf-8"), scope)  # noqa: S102
    assert (scope["__title__"], scope["__description__"]) == ("My Shop", description)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(("", "app"), "project_name=Demo Service"), (("a" * 201, "shop"), "use_auth=yes")],
    ids=["project_slug", "project_name"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_slug_is_not_kept_if_it_may_be_what_is_wrong(
    template: Path, tmp_path: Path, typed: tuple[str, str], kept: str
) -> None:
    completed = bake_on_a_terminal(template, tmp_path, (*typed, *[""] * 6))
    assert shlex.split(completed.stderr.partition("the command: ")[2])[0] == kept
    assert "project_slug=" not in completed.stderr


def bake_on_a_terminal(
    template: Path, folder: Path, typed: Iterable[str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    import pty  # noqa: PLC0415

    terminal, end = pty.openpty()
    os.write(terminal, "".join(f"{line}\n" for line in typed).encode())
    completed = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), *arguments],
        cwd=folder,
        env=os.environ | {"COOKIECUTTER_CONFIG": str(write_settings(folder))},
        stdin=end,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    os.close(terminal)
    os.close(end)
    return completed


PYPROJECT = """\
[project]
name = "app"
license = "MIT"
authors = [{ name = "Ada", email = "you@example.com" }]

[[tool.hook]]
name = "app"
"""

README = """\
# Demo

**Unfinished**, see [UNFINISHED.md](UNFINISHED.md).

Text.
"""


def make_project(folder: Path, *paths: str) -> Path:
    """Make what a bake holds before the hook runs, and these files."""
    contents = dict.fromkeys(paths, "")
    contents |= {f"licenses/{name}.txt": name for name in ("MIT", "BSD-3-Clause", "Apache-2.0")}
    contents |= {"pyproject.toml": PYPROJECT, "README.md": README, "UNFINISHED.md": "# Unfinished"}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_prune_table_names_only_paths_that_exist() -> None:
    """What goes with auth is left out: a rule, for which there may be no file."""
    for (question, answer), patterns in post_gen_project.PRUNE.items():
        for pattern in patterns if (question, answer) != ("use_auth", True) else ():
            assert list((ROOT / TEMPLATE_FOLDER).glob(pattern)), f"nothing to prune at {pattern}"


def test_prune_removes_what_the_answers_do_not_want(tmp_path: Path) -> None:
    drivers = {name: f"app/core/database/drivers/{name}_driver.py" for name in DRIVERS}
    kept = [
        "app/core/config.py",
        "app/services/authors.py",
        "licenses/auth/a.md",
        drivers["psycopg"],
    ]
    auth = ["app/auth/a.py", "app/routes/auth/b/c.py", "tests/auth/d.py", "app/core/security/e.py"]
    project = make_project(tmp_path, *kept, *auth, drivers["asyncpg"])
    post_gen_project.prune(project, GOOD_ANSWERS | {"use_auth": False, "db_driver": "psycopg"})
    left = files(project).keys() - files(make_project(tmp_path / "empty")).keys()
    assert {name for name in left if not name.startswith("empty/")} == set(kept)
    assert not (project / "app/auth").exists()


@pytest.mark.parametrize("use_auth", [True, False])
def test_file_without_auth_takes_the_place_of_the_one_beside_it(
    tmp_path: Path, *, use_auth: bool
) -> None:
    names = ("app/caller.py", "app/caller_without_auth.py", "notes.txt", "notes_without_auth.txt")
    project = make_project(tmp_path, *names, ".venv/x_without_auth.py")
    for name in names:
        (project / name).write_text(name, encoding="utf-8")
    # They import one another by the names that they have until then.
    changed = {"app/caller.py": "alternative app/caller.py", "notes.txt": "alternative notes.txt"}
    for name in changed:
        alternative = (project / name).with_stem(f"{Path(name).stem}_without_auth")
        text = f"alternative {Path(name).with_stem(alternative.stem).as_posix()}"
        alternative.write_text(text, encoding="utf-8")
    expected = {name: text for name, text in files(project).items() if "_without" not in name}
    expected[".venv/x_without_auth.py"] = files(project)[".venv/x_without_auth.py"]
    expected |= {} if use_auth else changed
    for _ in ("the bake", "a second run"):
        post_gen_project.prune(project, GOOD_ANSWERS | {"use_auth": use_auth})
        assert files(project) == expected


def test_file_without_auth_stands_beside_the_one_it_replaces() -> None:
    for alternative in (ROOT / TEMPLATE_FOLDER).glob("**/*_without_auth.*"):
        replaced = alternative.with_stem(alternative.stem.removesuffix("_without_auth"))
        assert replaced.exists(), f"{alternative.name} replaces nothing"


@pytest.mark.parametrize("name", ["MIT", "BSD-3-Clause", "Apache-2.0"])
def test_chosen_license_becomes_the_license_file(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path)
    post_gen_project.main(project, GOOD_ANSWERS | {"license": name})
    assert (project / "LICENSE").read_text(encoding="utf-8") == name
    assert not (project / "licenses").exists()
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["license"] == name


def test_proprietary_project_has_no_license_file(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    post_gen_project.main(project, GOOD_ANSWERS | {"license": "Proprietary"})
    assert set(files(project)) == {"pyproject.toml", "README.md"}
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    assert pyproject["project"]["license"] == "LicenseRef-Proprietary"


def test_project_takes_the_slug_as_its_name_and_the_author_s_address(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    post_gen_project.main(project, GOOD_ANSWERS)
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    assert pyproject["project"]["name"] == "demo-service"
    assert pyproject["project"]["authors"] == [{"name": "Ada", "email": "ada@example.com"}]
    assert pyproject["tool"]["hook"][0]["name"] == "app"


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path, "app/core/security/tokens.py", "app/main.py")
    answers = GOOD_ANSWERS | {"use_auth": False}
    post_gen_project.main(project, answers)
    once = files(project)
    (project / "UNFINISHED.md").write_text("# Unfinished", encoding="utf-8")
    post_gen_project.main(project, answers)
    assert files(project) == once


def test_leftovers_of_the_template_folder_are_removed(tmp_path: Path) -> None:
    leftovers = (
        ".venv/bin/python",
        "uv.lock",
        ".env",
        ".postgres/base/1",
        "app/__pycache__/main.pyc",
        ".ruff_cache/x",
        "dist/demo.whl",
    )
    project = make_project(tmp_path, *leftovers, "app/main.py")
    (project / ".venv/bin64").symlink_to("bin", target_is_directory=True)
    post_gen_project.main(project, GOOD_ANSWERS)
    assert files(project).keys() == {"LICENSE", "README.md", "pyproject.toml", "app/main.py"}
    assert not (project / ".venv").exists()


def test_readme_names_what_is_unfinished_until_the_hook_has_run(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    post_gen_project.main(project, GOOD_ANSWERS)
    assert files(project)["README.md"] == "# Demo\n\nText.\n"


@pytest.mark.parametrize("skip", [True, False])
def test_bake_over_a_project_changes_what_it_writes_alone(tmp_path: Path, *, skip: bool) -> None:
    own = (
        "app/auth/own.py",
        "app/auth/a.py",
        "docs/[x].md",
        ".env",
        ".git/x.py",
        "a_without_auth.py",
    )
    conflicts = ("docs/0001", "notes.txt/a.txt")  # the bake has a folder there, and a file
    written = ("app/main.py", "app/auth/a.py", ".env", "docs/0001/a.md", "notes.txt", "new.txt")
    for name in (*own, *conflicts, "app/main.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("ours", encoding="utf-8")
    (tmp_path / "link").symlink_to("nowhere")

    assert pre_gen_project.main(GOOD_ANSWERS, tmp_path) == 0
    sign = (tmp_path / "UNFINISHED.md").read_text(encoding="utf-8")
    make_project(tmp_path, *written)
    if skip:
        (tmp_path / "UNFINISHED.md").write_text(sign, encoding="utf-8")
    post_gen_project.main(tmp_path, GOOD_ANSWERS | {"use_auth": False})

    after = files(tmp_path)
    baked = {"LICENSE", "README.md", "pyproject.toml", "new.txt"}
    assert after.keys() == {*own, *conflicts, *baked, "app/main.py"}
    assert {name for name, text in after.items() if text == "ours"} == {
        *own, *conflicts, *(["app/main.py"] if skip else [])
    }  # fmt: skip
    assert (tmp_path / "link").is_symlink()


def test_bake_over_an_interrupted_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").touch()
    assert pre_gen_project.main(GOOD_ANSWERS, tmp_path) == 0
    assert pre_gen_project.main(GOOD_ANSWERS, tmp_path) == 1
    before = tmp_path / pre_gen_project.BEFORE
    assert capsys.readouterr().err.startswith(f"{before} holds this project as it was before ")
    assert (before / "own.py").exists()


def test_folder_that_cannot_be_moved_is_refused_and_all_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.py", "b.py", "mounted"):
        (tmp_path / name).touch()
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "mounted":
            raise OSError(16, "Device or resource busy", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    assert pre_gen_project.main(GOOD_ANSWERS, tmp_path) == 1
    assert f"{tmp_path / 'mounted'} cannot be moved" in capsys.readouterr().err
    assert files(tmp_path).keys() == {"a.py", "b.py", "mounted"}


def test_hooks_agree_on_where_a_project_is_kept() -> None:
    assert post_gen_project.BEFORE == pre_gen_project.BEFORE
    assert post_gen_project.SIGN == pre_gen_project.SIGN
    sign = (ROOT / TEMPLATE_FOLDER / pre_gen_project.SIGN).read_text(encoding="utf-8")
    assert pre_gen_project.INTERRUPTED.startswith("A bake")
    assert not sign.startswith("A bake")


@pytest.fixture
def template_repository(tmp_path: Path) -> Path:
    """Return a repository that looks like the template's, with one commit."""
    repository = tmp_path / "template ü"
    (repository / TEMPLATE_FOLDER).mkdir(parents=True)
    (repository / TEMPLATE_FOLDER / "README.md").touch()
    copy_questions(repository)
    return make_repository(repository)


def copy_questions(folder: Path) -> None:
    shutil.copy(ROOT / "cookiecutter.json", folder)
    (folder / "hooks").mkdir()
    shutil.copy(ROOT / "hooks" / "cruft_link.py", folder / "hooks")


def link(project: Path, template: Path, **answers: object) -> dict[str, Any] | None:
    """Run the hook as cookiecutter does for this template, and return what .cruft.json then holds."""
    run_answers = {"_template": str(template), "_repo_dir": str(template), "_output_dir": "/"}
    make_project(project)
    post_gen_project.main(project, GOOD_ANSWERS | run_answers | answers)
    state = project / ".cruft.json"
    return json.loads(state.read_text(encoding="utf-8")) if state.exists() else None


def test_bake_by_cookiecutter_is_linked_to_its_template(
    tmp_path: Path, template_repository: Path
) -> None:
    state = link(tmp_path / "project", template_repository, _checkout="main", use_auth=False)
    commit = git(template_repository, "rev-parse", "HEAD")
    assert state
    context = state.pop("context")["cookiecutter"]
    assert state == {
        "template": str(template_repository),
        "commit": commit,
        "checkout": "main",
        "directory": None,
    }
    assert context.items() >= (GOOD_ANSWERS | {"use_auth": False, "_commit": commit}).items()
    assert not context.keys() & {"_repo_dir", "_output_dir", "_checkout"}


def test_template_is_found_by_the_path_that_was_typed(
    tmp_path: Path, template_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = dict.fromkeys(("_template", "_repo_dir"), f"./{template_repository.name}")
    monkeypatch.setenv("PWD", str(tmp_path))
    assert link(tmp_path / "by PWD", template_repository, **typed)
    monkeypatch.delenv("PWD")
    assert link(tmp_path / "by output", template_repository, **typed, _output_dir=str(tmp_path))


def test_clone_is_linked_to_where_it_came_from_and_no_password_is_kept(
    tmp_path: Path, template_repository: Path
) -> None:
    for url, kept in [
        ("https://ada:secret@example.com:8443/t.git", "https://example.com:8443/t.git"),
        ("git@example.com:org/t.git", "git@example.com:org/t.git"),
    ]:
        clone = tmp_path / "cookiecutters" / str(len(url))
        git(tmp_path, "clone", "--quiet", str(template_repository), str(clone))
        git(clone, "remote", "set-url", "origin", url)
        state = link(tmp_path / f"of {len(url)}", clone, _template="gh:org/t")
        assert state
        assert state["template"] == state["context"]["cookiecutter"]["_template"] == kept


def test_template_in_a_folder_of_its_repository_names_that_folder(
    tmp_path: Path, template_repository: Path
) -> None:
    folder = template_repository / "a" / "template"
    shutil.copytree(template_repository / TEMPLATE_FOLDER, folder / TEMPLATE_FOLDER)
    copy_questions(folder)
    commit_all(template_repository, "Add a second template")
    state = link(tmp_path / "project", folder, _template=str(template_repository))
    assert state
    assert (state["template"], state["directory"]) == (str(template_repository), "a/template")


def test_changes_of_the_template_that_are_not_committed_are_said(
    tmp_path: Path, template_repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert link(tmp_path / "clean", template_repository)
    assert "not committed" not in capsys.readouterr().out
    (template_repository / "cookiecutter.json").write_text("{}")
    assert link(tmp_path / "dirty", template_repository)
    assert "changes that are not committed" in capsys.readouterr().out


def test_questions_have_prompts_and_those_that_change_code_come_first() -> None:
    context = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    questions = [name for name in context if not name.startswith("_")]
    assert list(context["__prompts__"]) == questions
    naming = ["project_name", "project_slug"]  # folder, distribution, database
    changing = {question for question, _ in post_gen_project.PRUNE}
    assert questions[: len(naming)] == naming
    assert set(questions[len(naming) :][: len(changing)]) == changing


@pytest.mark.parametrize(
    ("started_in", "path"),
    [(".", "my-project"), ("..", "'{}'"), (None, "'{}'")],
    ids=["beside", "above", "unknown"],
)
def test_next_steps_begin_with_the_way_to_the_project(
    tmp_path: Path,
    template_repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    started_in: str | None,
    path: str,
) -> None:
    monkeypatch.delenv("PWD", raising=False)
    project = tmp_path / "with a blank" / "my-project"
    if started_in:
        monkeypatch.setenv("PWD", str(project.parent / started_in))
    assert link(project, template_repository)
    assert capsys.readouterr().out.splitlines() == [
        "Next:",
        f"  cd {path.format(project)}",
        "  git init && git add -A && git commit -m Bake",
        "  uv run app dev",
    ]


def test_path_of_next_steps_has_the_quotes_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", "nt")
        on_windows = runpy.run_path(post_gen_project.__file__)
    assert on_windows["quote"](r"C:\my projects\shop") == r'"C:\my projects\shop"'
    assert runpy.run_path(post_gen_project.__file__)["quote"]("my shop") == "'my shop'"


@pytest.mark.parametrize(
    ("lack", "reason"),
    [
        ("git", "No such file or directory: 'git'"),
        ("a repository", "fatal: not a git repository"),
        ("a commit of the template", "error: pathspec 'cookiecutter.json' did not match"),
        ("a path", "cruft_link.py'"),
        ("an owner", "fatal: detected dubious ownership in repository at "),
    ],
)
def test_where_git_cannot_tell_the_commit_the_bake_says_what_to_do(
    tmp_path: Path,
    template_repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lack: str,
    reason: str,
) -> None:
    template = template_repository
    if lack == "git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif lack == "a repository":
        shutil.rmtree(template / ".git")
    elif (
        lack == "a commit of the template"
    ):  # it lies, untracked, in the repository of something else
        template = template / "copy"
        shutil.copytree(template_repository / TEMPLATE_FOLDER, template / TEMPLATE_FOLDER)
        copy_questions(template)
    elif lack == "an owner":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    else:
        template = Path("nowhere")
    assert link(tmp_path / "project", template, _version="1.2.3") is None
    printed = capsys.readouterr().out
    assert "No .cruft.json: git cannot tell the template's commit (" in printed
    assert reason in printed
    remedy = "uvx cruft link <URL of the template> --checkout 1.2.3"
    assert f"In the project:\n  {remedy}\n" in printed


def test_repository_of_the_git_hook_that_bakes_is_not_taken_for_the_template_s(
    tmp_path: Path, template_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "other")
    commit = git(template_repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    state = link(tmp_path / "project", template_repository)
    assert state
    assert state["commit"] == commit


def test_cruft_is_left_to_write_its_file_itself(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    post_gen_project.main(project, GOOD_ANSWERS | {"_template": "t", "_commit": "c"})
    assert not (project / ".cruft.json").exists()


@pytest.mark.parametrize("hook", ["pre_gen_project", "post_gen_project"])
def test_hook_needs_the_standard_library_alone(hook: str) -> None:
    """-S leaves site-packages out, -I what the environment and the working directory add."""
    loader = (
        f"import runpy; runpy.run_path({str(ROOT / 'hooks' / f'{hook}.py')!r}, run_name={hook!r})"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", loader], check=True)


def test_answers_are_rendered_as_json_that_no_answer_can_leave() -> None:
    for hook in ("pre_gen_project", "post_gen_project"):
        source = (ROOT / "hooks" / f"{hook}.py").read_text(encoding="utf-8")
        assert source.count("{{") == source.count('r"""{{ cookiecutter|tojson }}"""') == 1
    assert json.loads(r"""{"answer": "\"\"\" \\ \u0027"}""") == {"answer": '""" \\ \''}
