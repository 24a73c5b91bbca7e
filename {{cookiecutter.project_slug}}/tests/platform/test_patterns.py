"""Every block of Python in a document runs, or is a quotation.

A block whose first line names a file of the project is a quotation: its lines stand in that file, in
this order, with `...` for what is left out. So do the lines of a `diff`, without those that it adds, or,
once somebody has made the change, without those that it removes; those of a
resource that is an example, and of a revision that is yet to be written, are not there. A block in the page of a recipe is
a quotation from what its patch adds. Every other block is executed, on a database of its own; those of
docs/scaling.md, which need none, in test_scaling.py.
"""

import builtins
import re
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from sqlalchemy import URL, text

from app.core.config import Settings
from app.core.database import Database
from tests.platform.documents import (
    DOCUMENTS,
    PROJECT,
    SCALING,
    Block,
    blocks_of,
    patch_of,
    read,
    unfenced_blocks_of,
)
from tests.postgres import temporary_database

# What surrounds an example that is a part of something, by its place.
SURROUNDINGS: Final = {
    "README.md: Background jobs": """
from typing import ClassVar, Final
from app.core.jobs.kinds import JobContext, JobKind
from app.core.jobs.payload import JobPayload
""",
    "README.md: Logs": """
import logging
from types import SimpleNamespace
_logger = logging.getLogger("patterns")
order = SimpleNamespace(id=7)
""",
    "observability.md: Traces and errors": """
import httpx
client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _request: httpx.Response(200)))
""",
}

BLOCKS: Final = [
    block
    for document in DOCUMENTS
    for block in blocks_of(document)
    if block.language in {"python", "diff"}
]
QUOTATIONS: Final = [
    block for block in BLOCKS if block.quoted_file and not block.is_about_an_example
]
OF_RECIPES: Final = [
    block for block in BLOCKS if patch_of(block.document) and not block.is_about_an_example
]
EXAMPLES: Final = [
    block
    for block in BLOCKS
    if not block.quoted_file and block not in OF_RECIPES and block.document != SCALING
]
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
        exec(SURROUNDINGS.get(f"{document.name}: {section}", ""), names)  # noqa: S102 (it is above)
        for block in examples:
            if block.section == section:
                await block.run(names)
        await session.rollback()


@pytest.mark.parametrize(
    "block", QUOTATIONS, ids=lambda block: f"{block.document.name}:{block.line}"
)
def test_quotation_stands_in_the_file(block: Block) -> None:
    path = PROJECT / str(block.quoted_file)
    source = f"\n{path.read_text(encoding='utf-8')}" if path.exists() else ""
    missing = [first_missing(passages, source) for passages in block.quoted_lines()]

    assert None in missing, (
        f"{block.quoted_file} does not hold, or not there:\n{missing[0]}\n"
        f"Adapt the quotation in {block.document.relative_to(PROJECT)}, or take it out."
    )


def first_missing(passages: list[str], source: str) -> str | None:
    """Return the first passage that the source does not hold after those before it."""
    position = 0
    for passage in passages:
        position = source.find(f"\n{passage}\n", position)
        if position < 0:
            return passage
    return None


def test_code_of_a_recipe_is_what_its_patch_adds() -> None:
    for block in OF_RECIPES:
        added = re.findall(r"^\+(.*)$", patch_of(block.document), re.MULTILINE)

        assert f"\n{block.code}" in "\n".join(added), block.document.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_document_holds_no_code_that_is_not_checked(document: Path) -> None:
    """Other modules check the rest: test_documents.py data, test_documented_commands.py what is typed."""
    fences = re.findall(r"^ *```", read(document), re.MULTILINE)
    blocks = blocks_of(document)

    assert len(fences) == 2 * len(blocks)
    assert unfenced_blocks_of(document) == [], "put them between fences that name a language"
    assert {block.language for block in blocks} <= {
        *("python", "diff", "json", "yaml", "ini", "console"),
    }
    # Examples before the first section run with those of each section.
    examples = [block for block in EXAMPLES if block.document == document]
    assert not examples or any(block.section for block in examples)
