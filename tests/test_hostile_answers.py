"""Whatever a person types as a name or a description, every file of the project is valid and shows it unharmed."""

import ast
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pre_gen_project
import pytest
import yaml
from baking import ROOT, TEMPLATE_FOLDER, bake, write_settings
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from ruff import find_ruff_bin

HOSTILE_TEXTS = {
    "quotes": 'O\'Reilly "API" \\ Co',
    "more quotes": '""" \'\'\' ``` "',
    "backslashes": "C:\\new\\table\\u0041 \\",
    "percent": "100% %s %(here)s %%",
    "scripts": "Überraschung žluťoučký 服务 خدمة ‘’",
    "emoji": "🚀 Rakete 👩‍🚀",
    "200 characters": "long name " * 19 + "at its end",
    "Markdown": "*a* _b_ __c__ `d` [e](f) <g> &amp; #h ~~i~~ | j ![k](l) <https://m.example> n\\",
    "Markdown list": "- a",
    "Markdown numbered list": "12. a",
    "Markdown rule": "+++ --- ***",
    "Markdown heading": "# a #",
    "Markdown table": "a | b",
    "shell": "$HOME ${X} $(id) `id` !! ~ \\$A",
    "YAML": "a: b # c - d, {e: f} & *g !h |",
    "TOML": "[a] = '''b''' # c",
    "HTML": "<b>&lt;</b><!-- c --> <script>",
    "Actions": "${{ github.token }}",
    "Jinja": "{{ braces }} {% if %} {# comment #} # {% raw %}",
    "spaces around": "  a  b\u3000",
}

printable_texts = st.text(
    st.characters(
        exclude_categories=sorted(pre_gen_project.FORBIDDEN_CATEGORIES),  # type: ignore[arg-type]
        exclude_characters=sorted(pre_gen_project.FORBIDDEN_CHARACTERS),
    ),
    min_size=1,
    max_size=pre_gen_project.MAX_TEXT_LENGTH,
).filter(str.strip)


def typed(text: str) -> str:
    """Return what the API needs for an answer as typed: it renders answers, which the prompt does not."""
    return '{{ "' + "".join(f"\\U{ord(character):08x}" for character in text) + '" }}'


def bake_with(template: Path, output_dir: Path, text: str) -> Path:
    """Bake a project with this text wherever an answer may be any text."""
    answers = dict.fromkeys(("project_name", "description", "author_name"), typed(text))
    return bake(template, output_dir, project_slug="demo-service", **answers)


@pytest.fixture(scope="session")
def showing(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template of the files that show an answer, which is baked in a tenth of the time."""
    copy = tmp_path_factory.mktemp("showing")
    ignored = shutil.ignore_patterns(TEMPLATE_FOLDER, ".git")
    shutil.copytree(template, copy, dirs_exist_ok=True, ignore=ignored)
    for name in files_that_show_an_answer(template):
        file = copy / TEMPLATE_FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(template / TEMPLATE_FOLDER / name, file)
    return copy


def texts_of_python(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def texts_of_toml(source: str) -> Iterator[str]:
    return texts_in(tomllib.loads(source))


def texts_of_site(source: str) -> Iterator[str]:
    """Yield the texts of the site's settings, which its theme puts into pages as they are."""
    return (html.unescape(text) for text in texts_of_toml(source))


def texts_of_yaml(source: str) -> Iterator[str]:
    return texts_in(list(yaml.safe_load_all(source)))


def texts_of_json(source: str) -> Iterator[str]:
    return texts_in(json.loads(source))


def texts_in(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from (text for item in value.values() for text in texts_in(item))
        case list():
            yield from (text for item in value for text in texts_in(item))


def texts_of_markdown(source: str) -> Iterator[str]:
    """Yield what a reader sees of each heading, paragraph and table cell."""
    for token in MarkdownIt().enable(["table", "strikethrough"]).parse(source):
        if token.type == "inline":
            unseen = {"softbreak": "\n", "html_inline": ""}
            yield "".join(unseen.get(child.type, child.content) for child in token.children or [])


def texts_of_dockerfile(source: str) -> Iterator[str]:
    """Yield the values of labels as Docker's own parser unquotes them."""
    for label in re.findall(r"^LABEL ((?:.*\\\n)*.*)", source, flags=re.MULTILINE):
        values = re.findall(r'[\w.]+="((?:[^"\\$]|\\["\\$])*)"', label)
        assert len(values) == len(re.findall(r"(?:^|\\\n) *[\w.]+=", label)), (
            f"not well quoted: {label}"
        )
        yield from (re.sub(r'\\(["\\$])', r"\1", value) for value in values)


def texts_of_license(source: str) -> Iterator[str]:
    for holder in re.findall(r"^ *Copyright (?:\(c\) )?(.+)$", source, flags=re.MULTILINE):
        yield holder.strip()


READERS: dict[str, Callable[[str], Iterator[str]]] = {
    "*.py": texts_of_python,
    "*.toml": texts_of_toml,
    "zensical.toml": texts_of_site,
    "*.yaml": texts_of_yaml,
    "*.yml": texts_of_yaml,
    "*.json": texts_of_json,
    "*.md": texts_of_markdown,
    "Dockerfile": texts_of_dockerfile,
    "LICENSE": texts_of_license,
}

# How often each file shows the three texts, at the least. Every other file has to be valid all the same.
SHOWN = {
    "LICENSE": 1,  # author
    "pyproject.toml": 2,  # description, author
    "app/__init__.py": 3,  # name, description, author
    "Dockerfile": 2,  # name, description
    "README.md": 2,  # name, description
    "zensical.toml": 1,  # name
}


def check_project(project: Path, text: str) -> None:
    """Check that every file is valid and shows the text as often as it should."""
    counts = {}
    for pattern, read_texts in READERS.items():
        for path in project.rglob(pattern):
            texts = list(read_texts(path.read_text(encoding="utf-8")))
            counts[path.relative_to(project).as_posix()] = texts.count(text.strip())
    assert [name for name, expected in SHOWN.items() if counts[name] < expected] == []
    for command in (["format", "--check"], ["check"]):
        subprocess.run(
            [find_ruff_bin(), *command, "--no-cache", "--quiet", "."], cwd=project, check=True
        )


@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS.keys())
def test_text_is_shown_unharmed(showing: Path, tmp_path: Path, text: str) -> None:
    check_project(bake_with(showing, tmp_path, text), text)


@given(text=printable_texts)
@settings(max_examples=4, deadline=None)
def test_any_printable_text_is_shown_unharmed(showing: Path, text: str) -> None:
    with tempfile.TemporaryDirectory() as output_dir:
        check_project(bake_with(showing, Path(output_dir), text), text)


@given(text=printable_texts)
@settings(max_examples=200, deadline=None)
def test_each_escape_is_undone_by_its_reader(text: str) -> None:
    """The same promise at the level of cookiecutter.json, where many more texts can be tried."""
    context = generate_context(
        str(ROOT / "cookiecutter.json"),
        extra_context={"project_name": typed(text), "project_slug": "demo"},
    )
    answers = prompt_for_config(context, no_input=True)
    quoted = f'"{answers["__project_name"]}"'
    assert json.loads(quoted) == ast.literal_eval(quoted) == yaml.safe_load(quoted) == text.strip()
    assert tomllib.loads(f"text = {quoted}") == {"text": text.strip()}
    assert list(texts_of_dockerfile(f'LABEL text="{answers["__project_name_docker"]}"')) == [
        text.strip()
    ]
    for markdown in ("# {}", "{}", "- {}", "above\n{}", "before {} after"):
        shown = "".join(texts_of_markdown(markdown.format(answers["__project_name_md"])))
        assert shown == markdown.lstrip("#- ").format(text.strip())


def test_files_that_show_an_answer_are_those_checked_here(template: Path) -> None:
    """A new place for an answer gets a line in SHOWN, and with it a check."""
    licenses = {f"licenses/{name}.txt" for name in ("MIT", "BSD-3-Clause", "Apache-2.0")}
    assert files_that_show_an_answer(template) == {*SHOWN, *licenses} - {"LICENSE"}


def files_that_show_an_answer(template: Path) -> set[str]:
    folder = template / TEMPLATE_FOLDER
    answer = re.compile(r"{{ cookiecutter\.(__\w+|project_name|description|author_name)\b")
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and answer.search(path.read_text(encoding="utf-8"))
    }


def test_text_typed_at_the_prompt_is_shown_unharmed(template: Path, tmp_path: Path) -> None:
    text = HOSTILE_TEXTS["Jinja"]
    configuration = write_settings(tmp_path)
    answers = [text, "demo-service", "yes", "1", text, text, "me@example.com", "1"]
    subprocess.run(
        [sys.executable, "-m", "cookiecutter", template, "--config-file", configuration],
        cwd=tmp_path,
        input="\n".join(answers) + "\n",
        encoding="utf-8",
        check=True,
    )
    check_project(tmp_path / "demo-service", text)
