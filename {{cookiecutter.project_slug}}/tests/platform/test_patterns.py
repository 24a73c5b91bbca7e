"""Every block of Python in the architecture, how-to and pattern documents runs, or is a quotation.

A block whose first line names a file of the project is a quotation: its lines stand in that file, in
this order, with `...` for what is left out. So do the lines of a `diff` that are not added; those of a
resource that is an example, and of a revision that is yet to be written, are not there. Every other block is executed, on a database of its own.
"""

import ast
import builtins
import inspect
import re
import sys
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

import pytest
from sqlalchemy import URL, text

from app.core.config import Settings
from app.core.database import Database
from tests.postgres import temporary_database

PROJECT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    path
    for pattern in ("architecture", "howto/*", "patterns/*")
    for path in PROJECT.glob(f"docs/{pattern}.md")
)

_HEADING_OR_BLOCK: Final = re.compile(
    r"^## (?P<heading>.+)$|^```(?P<language>.*)\n(?P<code>(?s:.*?))^```$", re.MULTILINE
)
_QUOTED_FILE: Final = re.compile(r"# ((?:app|alembic|tests)/\S+|\.env\.example|compose\.yaml)\n")
_EXAMPLE: Final = re.compile(r"article|\*")
_OMISSION: Final = re.compile(r"^ *\.\.\.\n", re.MULTILINE)


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

    def quoted_lines(self) -> list[str]:
        """Return the parts between omissions, of a `diff` without what it adds."""
        text = self.code.partition("\n")[2]
        if self.language == "diff":
            lines = text.splitlines(keepends=True)
            text = "".join(
                line if line in {"...\n", "\n"} else line[1:] for line in lines if line[0] != "+"
            )
        passages = _OMISSION.split(text)
        return [passage.strip("\n") for passage in passages if passage.strip()]

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


def blocks_of(document: Path) -> list[Block]:
    source = document.read_text(encoding="utf-8")
    blocks = []
    section = ""
    for match in _HEADING_OR_BLOCK.finditer(source):
        if match["heading"]:
            section = match["heading"]
        else:
            line = source.count("\n", 0, match.start("code"))
            blocks.append(Block(document, line, section, match["language"], match["code"]))
    return blocks


BLOCKS: Final = [
    block
    for document in DOCUMENTS
    for block in blocks_of(document)
    if block.language != "console"  # see test_documents.py
]
QUOTATIONS: Final = [
    block for block in BLOCKS if block.quoted_file and not block.is_about_an_example
]
EXAMPLES: Final = [block for block in BLOCKS if not block.quoted_file]
SECTIONS: Final = dict.fromkeys(
    (block.document, block.section) for block in EXAMPLES if block.section
)


@pytest.fixture(scope="module")
def empty_database_url(database_url: URL) -> Generator[URL]:
    with temporary_database(database_url, f"{database_url.database}_patterns") as url:
        yield url


@pytest.fixture
async def empty_database(settings: Settings, empty_database_url: URL) -> AsyncGenerator[Database]:
    """An empty database, which is dropped after the test."""
    database = Database(settings.model_copy(update={"database_url": empty_database_url}))
    yield database
    async with database.writer.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await database.dispose()


@pytest.mark.parametrize(
    ("document", "section"), SECTIONS, ids=[f"{path.stem}: {name}" for path, name in SECTIONS]
)
async def test_examples_of_a_section_run(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, document: Path, section: str
) -> None:
    module = ModuleType("patterns")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where classes look up annotations
    names = vars(module)
    names |= {"__builtins__": builtins, "database": empty_database}
    examples = [block for block in EXAMPLES if block.document == document]
    async with empty_database.transaction() as session:
        for block in examples:  # those before the first section hold for every section
            if not block.section:
                await block.run(names)
        names["session"] = session
        for block in examples:
            if block.section == section:
                await block.run(names)
        await session.rollback()


@pytest.mark.parametrize(
    "block", QUOTATIONS, ids=lambda block: f"{block.document.name}:{block.line}"
)
def test_quotation_stands_in_the_file(block: Block) -> None:
    passages = block.quoted_lines()
    path = PROJECT / str(block.quoted_file)
    source = f"\n{path.read_text(encoding='utf-8')}" if passages else ""  # a new file has none

    position = 0
    for passage in passages:
        position = source.find(f"\n{passage}\n", position)
        assert position >= 0, f"{block.quoted_file} does not hold, or not there:\n{passage}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_document_holds_no_code_that_is_not_checked(document: Path) -> None:
    fences = re.findall(r"^ *```", document.read_text(encoding="utf-8"), re.MULTILINE)
    blocks = blocks_of(document)

    assert len(fences) == 2 * len(blocks)
    assert {block.language for block in blocks} <= {"python", "console", "diff"}
