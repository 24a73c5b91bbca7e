"""Commands that write code, on a database."""

import ast
import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy import URL

from app.cli import dev_server
from app.cli.commands import CommandError, with_database
from app.core.database import Database
from app.core.database.metadata import metadata
from app.core.database.migrations import MigrationError, alembic_config, migrate, newest_revision
from app.core.env_file import PROJECT
from scaffold.tables import drop_tables, rename_tables
from tests.cli.test_main import run

pytestmark = pytest.mark.long


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the revisions, to which commands add."""
    shutil.copytree(PROJECT / "alembic", tmp_path / "alembic")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    monkeypatch.setattr("app.core.database.migrations.PROJECT", tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # Alembic prepends the folder
    return tmp_path / "alembic/versions"


def test_revision_holds_what_the_database_lacks(empty_database: URL, versions: Path) -> None:
    table = sa.Table("things_of_test", metadata, sa.Column("id", sa.Integer, primary_key=True))
    try:
        with pytest.raises(MigrationError, match="run `uv run app migrate` first"):
            run("revision", "-m", "add things")
        migrate(empty_database)
        told = run("revision", "-m", "add things").stdout
    finally:
        metadata.remove(table)

    (path,) = versions.glob("*_add_things.py")
    assert str(path) in told
    assert 'op.create_table(\n        "things_of_test"' in path.read_text(encoding="utf-8")


def test_revision_of_nothing_is_not_written_unless_it_is_wanted(
    empty_database: URL, versions: Path
) -> None:
    migrate(empty_database)
    before = set(versions.glob("*.py"))

    told = run("revision", "-m", "nothing").stdout
    assert "no migration was written. Server defaults, CHECK constraints and the labels of" in told
    assert set(versions.glob("*.py")) == before

    run("revision", "-m", "some data", "--empty")
    (path,) = set(versions.glob("*.py")) - before
    assert path.stem.endswith("_some_data")


def test_revisions_of_ones_own_are_undone_step_by_step(empty_database: URL, versions: Path) -> None:
    """As `docs/patterns/migrations.md` says, although the revision before them may be a merge."""

    async def read(database: Database) -> str:
        async with database.read() as session:
            return str(await session.scalar(sa.text("SELECT version_num FROM alembic_version")))

    migrate(empty_database)
    expected = [newest_revision(versions.parent.parent)]
    for message in ("first", "second"):
        run("revision", "-m", message, "--empty")
        migrate(empty_database)
        expected.append(newest_revision(versions.parent.parent))

    undone = [with_database(empty_database, read)]
    for _ in ("second", "first"):
        command.downgrade(alembic_config(empty_database), "-1")
        undone.append(with_database(empty_database, read))

    assert undone == expected[::-1]
    assert len(set(undone)) == 3


@pytest.mark.parametrize(
    "message",
    [
        "rename \"old\" to 'new'",
        '"""" at the start and at the end """',
        r"import C:\Users\N{x} and \d+ \\",
        "a first line\n\nand more  ",
        "café ☕ – ${message} %s {x}",
    ],
)
def test_message_of_a_revision_may_be_any_text(
    empty_database: URL, versions: Path, message: str
) -> None:
    migrate(empty_database)
    before = set(versions.glob("*.py"))

    run("revision", "-m", message, "--empty")

    (path,) = set(versions.glob("*.py")) - before
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert docstring.startswith(message.rstrip())


@pytest.mark.parametrize("message", ["", "  ", "..."])
def test_revision_needs_a_message(versions: Path, message: str) -> None:
    with pytest.raises(CommandError, match="does not say what the migration does"):
        run("revision", "-m", message)


def test_tables_are_dropped_elsewhere_only_if_that_is_wanted(empty_database: URL) -> None:
    changed: list[str] = []
    change = noted(changed)

    async def make(database: Database) -> None:
        async with database.transaction() as session:
            await session.execute(sa.text("CREATE TABLE things (id int)"))
            await session.execute(sa.text("CREATE TABLE alembic_version (version_num text)"))
            await session.execute(sa.text("INSERT INTO alembic_version VALUES ('c')"))

    async def read(database: Database) -> tuple[str, bool]:
        async with database.read() as session:
            version = await session.scalar(sa.text("SELECT version_num FROM alembic_version"))
            exists = await session.scalar(sa.text("SELECT to_regclass('things') IS NOT NULL"))
        return str(version), bool(exists)

    with_database(empty_database, make)
    removed = {"c": "b", "b": "a"}

    def drop(*, anywhere: bool) -> list[str]:
        tables = ["others", "things"]
        return drop_tables(tables, removed, change(), anywhere=anywhere)

    with pytest.raises(CommandError, match="--drop-table"):
        drop(anywhere=False)
    assert (changed, with_database(empty_database, read)) == ([], ("c", True))
    assert drop(anywhere=True) == ["things"]
    assert (changed, with_database(empty_database, read)) == (["files"], ("a", False))


def test_tables_are_dropped_by_their_owner(
    empty_database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make(database: Database) -> None:
        async with database.transaction() as session:
            await session.execute(sa.text("CREATE TABLE things (id int)"))

    with_database(empty_database, make)
    owner = empty_database.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_DIRECT_URL", owner)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")

    assert drop_tables(["things"], {}, noted([])(), anywhere=True) == ["things"]


def noted(changed: list[str]) -> Callable[[], AbstractContextManager[None]]:
    """Return what changes files, and undoes that, as far as tables are concerned."""

    @contextmanager
    def change() -> Generator[None]:
        changed.append("files")
        try:
            yield
        except BaseException:
            changed.remove("files")
            raise

    return change


def test_tables_that_cannot_be_dropped_keep_their_files(empty_database: URL) -> None:
    changed: list[str] = []

    async def make(database: Database) -> None:
        async with database.transaction() as session:
            for statement in (
                "CREATE TABLE things (id int)",
                "CREATE TABLE alembic_version (version_num text)",
                "INSERT INTO alembic_version VALUES ('b')",
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE 'not now'; END $$",
                "CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON alembic_version"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()",
            ):
                await session.execute(sa.text(statement))

    with_database(empty_database, make)

    with pytest.raises(sa.exc.DBAPIError, match="not now"):
        drop_tables(["things"], {"b": "a"}, noted(changed)(), anywhere=True)

    assert changed == []


def test_files_that_cannot_be_changed_keep_their_tables(empty_database: URL) -> None:
    async def make(database: Database) -> None:
        async with database.transaction() as session:
            await session.execute(sa.text("CREATE TABLE things (id int)"))

    async def exists(database: Database) -> bool:
        async with database.read() as session:
            return bool(await session.scalar(sa.text("SELECT to_regclass('things') IS NOT NULL")))

    @contextmanager
    def fail() -> Generator[None]:
        raise CommandError("Nothing was changed")
        yield

    with_database(empty_database, make)

    with pytest.raises(CommandError, match="Nothing was changed"):
        drop_tables(["things"], {}, fail(), anywhere=True)

    assert with_database(empty_database, exists)


def test_embedded_server_without_data_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(dev_server, "DIRECTORY", tmp_path)
    changed: list[str] = []

    assert drop_tables(["things"], {}, noted(changed)(), anywhere=False) == []

    assert changed == ["files"]
    assert list(tmp_path.rglob("PG_VERSION")) == []


def test_all_names_in_tables_of_the_embedded_server_are_changed(
    empty_database: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make(database: Database) -> None:
        async with database.transaction() as session:
            for statement in (
                "CREATE TABLE owls (id bigint GENERATED BY DEFAULT AS IDENTITY, name text,"
                " CONSTRAINT pk_owls PRIMARY KEY (id), CONSTRAINT uq_owls_name UNIQUE (name))",
                "CREATE TABLE owl_nests (owl_id bigint CONSTRAINT fk_owl_nests_owl_id_owls REFERENCES owls)",
                "CREATE INDEX ix_owl_nests_owl_id ON owl_nests (owl_id)",
            ):
                await session.execute(sa.text(statement))

    async def names(database: Database) -> set[str]:
        query = sa.text(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " UNION SELECT conname::text FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
            " UNION SELECT attname::text FROM pg_attribute WHERE attname LIKE '%\\_id'"
            " AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r')"
        )
        async with database.read() as session:
            return set((await session.scalars(query)).all())

    with_database(empty_database, make)
    before = with_database(empty_database, names)

    def rename(name: str) -> str:
        return name.replace("owl", "hawk")

    with pytest.raises(CommandError, match="has the table owls"):
        rename_tables(["owls", "owl_nests"], rename, nullcontext())
    monkeypatch.setattr(dev_server, "uses_embedded_server", lambda: True)
    monkeypatch.setattr("scaffold.tables._has_embedded_data", lambda: True)
    found = rename_tables(["owls", "owl_nests", "owl_eggs"], rename, nullcontext())

    assert found == ["hawks", "hawk_nests"]
    assert with_database(empty_database, names) == set(map(rename, before))
