"""The documents of the project, and the blocks of code in them."""

import ast
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import FunctionType
from typing import Any, Final

PROJECT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
SCALING: Final = PROJECT / "docs/scaling.md"

_HEADING_OR_BLOCK: Final = re.compile(
    r"^## (?P<heading>.+)$"
    r"|^(?P<indent> *)```(?P<language>.*)\n(?P<code>(?s:.*?))^(?P=indent)```$",
    re.MULTILINE,
)
_ITEM: Final = re.compile(r"[-*+] |\d+\. ")
_QUOTED_FILE: Final = re.compile(r"# ((?:app|alembic|tests)/\S+|\.env\.example|compose\.yaml)\n")
_EXAMPLE: Final = re.compile(r"article|\*")
_OMISSION: Final = re.compile(r"^ *\.\.\.\n", re.MULTILINE)
# What the template fills in when it makes the project. The text in quotes is one of the values.
_FILLED_IN: Final = re.compile(r'[{]{2} *(?:"([^"]*)")?.*?[}]{2}')


@dataclass(frozen=True)
class Block:
    document: Path
    line: int
    section: str
    language: str
    code: str

    @property
    def quoted_file(self) -> str | None:
        match = _QUOTED_FILE.match(self.code)
        return match[1] if match else None

    @property
    def is_about_an_example(self) -> bool:
        return self.language == "diff" and bool(_EXAMPLE.search(str(self.quoted_file)))

    def quoted_lines(self) -> list[list[str]]:
        """Return the parts between omissions; of a `diff` those before the change, and those after it."""
        lines = self.code.splitlines(keepends=True)[1:]
        if self.language != "diff":
            return [_passages(lines)]
        return [
            _passages(
                line if line in {"...\n", "\n"} else line[1:] for line in lines if line[0] != mark
            )
            for mark in "+-"
        ]

    async def run(self, names: dict[str, Any]) -> None:
        """Execute the code with these names, to which it adds. `await` may stand at the top level."""
        code = compile(
            "\n" * self.line + self.code,  # so that a traceback shows the line of the document
            self.document,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        result = FunctionType(code, names)()
        if inspect.iscoroutine(result):
            await result


def _passages(lines: Iterable[str]) -> list[str]:
    passages = _OMISSION.split("".join(lines))
    return [passage.strip("\n") for passage in passages if passage.strip()]


def read(document: Path) -> str:
    """Return the text of a document, with the name of a service where the template puts one."""
    text = document.read_text(encoding="utf-8")
    return _FILLED_IN.sub(lambda match: match[1] or "demo", text)


def blocks_of(document: Path) -> list[Block]:
    source = read(document)
    blocks = []
    section = ""
    for match in _HEADING_OR_BLOCK.finditer(source):
        if match["heading"]:
            section = match["heading"]
        else:
            line = source.count("\n", 0, match.start("code"))
            code = dedent(match["code"])
            blocks.append(Block(document, line, section, match["language"], code))
    return blocks


def unfenced_blocks_of(document: Path) -> list[str]:
    """Return the first lines of blocks that are indented instead, so that no language is named."""
    found = []
    is_in_list = False
    previous = ""
    text = _HEADING_OR_BLOCK.sub(lambda match: "##" if match["heading"] else "", read(document))
    for line in text.splitlines():
        if line.startswith("    ") and not previous.strip() and not is_in_list:
            found.append(line)
        if line and not line.startswith((" ", "# ")):  # a tag of the template ends no list
            is_in_list = bool(_ITEM.match(line))
        previous = line
    return found


def words(text: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def patch_of(document: Path) -> str:
    """Return the patch that belongs to a page, as to that of a recipe, or an empty string."""
    patch = document.with_suffix(".patch")
    return patch.read_text(encoding="utf-8") if patch.exists() else ""
