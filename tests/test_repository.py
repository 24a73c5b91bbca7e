"""What the repository promises about itself, checked so that it cannot drift."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from baking import ROOT, TEMPLATE_FOLDER
from cast import COMMANDS, PICTURE, commands_in, printed_in, shown, without_blanks
from post_gen_project import NEXT, PRUNE
from variants import VARIANTS

TOP_LEVEL = {
    TEMPLATE_FOLDER, "hooks", "tests", "cookiecutter.json", "README.md", "pyproject.toml", "LICENSE", "CHANGELOG.md",
    "AGENTS.md", "CLAUDE.md", "CONTRIBUTING.md", "UPGRADING.md", ".ci", ".gitattributes", ".github", ".gitignore", ".pre-commit-config.yaml",
    "refused_answers.py",
}  # fmt: skip

# Bracketed, so that this line is not one of those it looks for.
REGISTRY_HOSTS = re.compile(
    r"python[h]osted\.org|pyp[i]\.org|np[m]js\.(org|com)|deb\.debi[a]n\.org"
)

# With a block, or with an answer.
TAGGED_LINE = re.compile(r"^.*(?:{%|{{ ?cookiecutter\.).*$", re.MULTILINE)


@pytest.fixture(scope="session")
def names(template: Path) -> list[str]:
    """Return the files, without the bytecode of refused_answers.py that a bake in this process leaves."""
    return [
        path.relative_to(template).as_posix()
        for path in template.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    ]


def test_top_level_holds_no_more_than_it_needs(names: list[str]) -> None:
    assert {name.split("/")[0] for name in names} == TOP_LEVEL


def test_windows_can_check_out_every_path(names: list[str]) -> None:
    assert [name for name in names if re.search(r'[<>:"\\|?*]|[ .](/|$)', name)] == []
    assert len({name.lower() for name in names}) == len(names)


def test_no_file_names_a_package_registry(template: Path, names: list[str]) -> None:
    assert "uv.lock" not in {Path(name).name for name in names}
    assert [
        name
        for name in names
        if REGISTRY_HOSTS.search((template / name).read_text(encoding="utf-8"))
    ] == []


def test_files_end_their_lines_as_on_unix(template: Path, names: list[str]) -> None:
    assert [name for name in names if b"\r" in (template / name).read_bytes()] == []


def test_template_folder_is_valid_python(template: Path) -> None:
    for path in (template / TEMPLATE_FOLDER).rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_braces_in_python_hold_answers_alone(template: Path) -> None:
    """A bake renders them, also in a regular expression: `{{1,5}}` of an f-string would be `(1, 5)`."""
    folder = template / TEMPLATE_FOLDER
    paths = [path for path in folder.rglob("*.py") if folder / "scaffold" not in path.parents]
    rendered = [
        f"{path.name}: {line}"
        for path in paths
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"{{(?! ?cookiecutter\.)|{#", line)
    ]

    assert len(paths) > 100
    assert rendered == []


def test_variants_are_all_that_the_questions_allow(template: Path) -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    assert [(variant.db_driver, variant.use_auth) for variant in VARIANTS] == [
        (driver, auth) for driver in questions["db_driver"] for auth in (True, False)
    ]
    # What answers change by the hook's table or by tags is an axis of the matrix, and nothing else is.
    tags = [
        tag
        for path in (template / TEMPLATE_FOLDER).rglob("*")
        if path.is_file()
        for tag in re.findall(r"# {%-? if cookiecutter\.(\w+)", path.read_text(encoding="utf-8"))
    ]
    assert set(tags) | {question for question, _ in PRUNE} == {"db_driver", "use_auth"}


def test_python_files_hold_few_tags(template: Path) -> None:
    """Alternatives are modules (`x_without_auth.py`), so that the source reads like any other."""
    folder = template / TEMPLATE_FOLDER
    lines = {
        path.relative_to(folder).as_posix(): len(TAGGED_LINE.findall(path.read_text("utf-8")))
        for path in folder.rglob("*.py")
    }
    tagged = {name: number for name, number in lines.items() if number}
    assert sum(tagged.values()) <= 40, tagged
    assert len(tagged) <= 12, tagged
    # What people read first, and copy.
    assert not {"app/routes/posts.py", "app/services/post_service.py"} & tagged.keys()


def test_hook_is_short() -> None:
    hook = ROOT / "hooks" / "post_gen_project.py"
    assert len(hook.read_text(encoding="utf-8").splitlines()) < 120


def test_readme_lists_the_variants() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+)[^|]*\| (yes|no) \|", readme, flags=re.MULTILINE)
    assert rows == [
        (variant.name, variant.db_driver, "yes" if variant.use_auth else "no")
        for variant in VARIANTS
    ]


def test_ci_gets_every_variant_and_both_ends_of_the_python_range() -> None:
    """tests/test_workflows.py runs the step that makes CI's jobs of them."""
    printed = subprocess.run(
        [sys.executable, ROOT / "tests" / "variants.py"], check=True, capture_output=True
    )
    jobs = json.loads(printed.stdout)
    assert {job["variant"] for job in jobs} == {variant.name for variant in VARIANTS}
    assert {job["python"] for job in jobs} == {"3.11", "3.13", "3.14"}


def test_readme_shows_the_commands_that_its_script_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = commands_in(PICTURE.read_text(encoding="utf-8"))

    assert f"({PICTURE.relative_to(ROOT).as_posix()})" in readme
    assert shown == "".join(without_blanks(f"$ {command}") for command in COMMANDS)


def test_picture_shows_what_its_commands_print() -> None:
    """A test in tests/test_howtos.py compares all that `app new` prints."""
    picture = PICTURE.read_text(encoding="utf-8")
    bake, _, new, *_ = COMMANDS
    templates = ROOT / TEMPLATE_FOLDER / "scaffold/templates"
    names = [path.relative_to(templates).with_suffix("") for path in templates.rglob("*.mako")]
    names += [Path("scaffold/resources/SINGULAR.json")]
    files = sorted(
        name.as_posix().replace("SINGULAR", "article").replace("PLURAL", "articles")
        for name in names
    )
    tests = [name for name in files if name.startswith("tests/routes/")]

    assert printed_in(picture, bake) == (NEXT % "blog").splitlines()
    first = [*shown("".join(f"created  {name}\n" for name in files))]
    assert printed_in(picture, new)[: len(first)] == first
    assert f"  uv run pytest {' '.join(tests)} tests/test_endpoints.py" in printed_in(picture, new)


def test_ci_script_runs_the_readme_s_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (python3 .*uv run pytest)$", readme, flags=re.MULTILINE)
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").endswith(f"\n{command}\n")


def test_run_that_selects_no_test_says_so() -> None:
    """For instance by a variant that is misspelt: `-k asyncpg_noauth`."""
    nothing = ("--collect-only", "-q", "-n", "0", "-k", "no_test_has_this_name", __file__)
    command = [sys.executable, "-m", "pytest", *nothing]
    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)

    assert ended.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, ended.stdout
    assert "no tests collected" in ended.stdout, ended.stdout


def test_notes_for_assistants_are_short_and_name_what_exists() -> None:
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    named = [*re.findall(r"`([\w.{}-]+/[\w.{}/-]*|[A-Z]+\.md|\w+\.json)`", text)]
    typed = re.findall(r"tests/\w+\.py", text)

    assert len(text.splitlines()) < 120
    assert len(named) > 15
    # In the project's folder, or in that of the template.
    assert [
        path
        for path in (*named, *typed)
        if not (ROOT / path).exists() and not (ROOT / TEMPLATE_FOLDER / path).exists()
    ] == []
    for folder in (ROOT, ROOT / TEMPLATE_FOLDER):
        assert "(AGENTS.md)" in (folder / "CLAUDE.md").read_text(encoding="utf-8")
