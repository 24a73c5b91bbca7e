"""Autogenerate and `alembic check` agree on other schemas, enum types, and what is not ours."""

import textwrap
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations
from alembic.operations.ops import DowngradeOps, UpgradeOps
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ARRAY,
    URL,
    Connection,
    Enum,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    inspect,
    text,
)
from sqlalchemy.dialects import postgresql

import tests
from app.core.database.autogenerate import autogenerate_options
from app.core.database.drivers import run
from app.core.database.metadata import NAMING_CONVENTION
from app.core.database.statements import verbatim
from app.core.env_file import PROJECT
from tests.postgres import make_test_engine, temporary_database


@pytest.fixture
def empty_url(template_url: URL, worker_id: str) -> Generator[URL]:
    name = f"{template_url.database}_{worker_id}_autogenerate"
    with temporary_database(template_url, name) as url:
        yield url


def on_connection(url: URL, work: Any) -> None:
    async def connect() -> None:
        engine = make_test_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(work)
        await engine.dispose()

    run(url, connect())


def context_on(
    connection: Connection, metadata: MetaData, folder: Path | None = None
) -> MigrationContext:
    """Return Alembic's context, with the revisions of the app or those of a folder."""
    scripts = None
    if folder:
        scripts = ScriptDirectory(PROJECT / "alembic", version_locations=[folder])
    return MigrationContext.configure(connection, opts=autogenerate_options(metadata, scripts))


def migrate(
    connection: Connection, metadata: MetaData, folder: Path | None = None
) -> tuple[str, str]:
    """Run what autogenerate writes, keep it in the folder, and return upgrade and downgrade."""
    context = context_on(connection, metadata, folder)
    script = produce_migrations(context, metadata)
    context.opts["process_revision_directives"](context, (), [script])
    upgrade, downgrade = (
        render(operations, context)
        for operations in (script.upgrade_ops, script.downgrade_ops)
        if operations
    )
    execute(context, upgrade)
    if folder:
        write_revision(folder, upgrade, downgrade)
    return upgrade, downgrade


def write_revision(folder: Path, upgrade: str, downgrade: str = "pass") -> None:
    number = len(list(folder.glob("*.py")))
    functions = {"upgrade": upgrade, "downgrade": downgrade}
    code = "\n".join(
        f"def {name}():\n{textwrap.indent(body, '    ')}" for name, body in functions.items()
    )
    before = f"r{number - 1}" if number else None
    (folder / f"r{number}.py").write_text(
        f"revision = 'r{number}'\ndown_revision = {before!r}\n{code}\n", encoding="utf-8"
    )


def render(operations: UpgradeOps | DowngradeOps, context: MigrationContext) -> str:
    code = render_python_code(
        operations, render_item=context.opts["render_item"], migration_context=context
    )
    return textwrap.dedent(f"    {code}")


def execute(context: MigrationContext, code: str) -> None:
    names = {"op": Operations(context), "sa": sa, "postgresql": postgresql, "tests": tests}
    exec(code, names)  # noqa: S102


def differences(
    connection: Connection, metadata: MetaData, folder: Path | None = None
) -> list[Any]:
    return list(compare_metadata(context_on(connection, metadata, folder), metadata))


def enum_types(connection: Connection) -> set[str]:
    return set(connection.scalars(text("SELECT typname FROM pg_type WHERE typtype = 'e'")))


def new_metadata() -> MetaData:
    return MetaData(naming_convention=NAMING_CONVENTION)


def table(metadata: MetaData, name: str, *columns: sa.schema.SchemaItem, **options: Any) -> Table:
    return Table(name, metadata, sa.Column("id", Integer, primary_key=True), *columns, **options)


def test_model_in_another_schema_is_made_once(empty_url: URL) -> None:
    metadata = new_metadata()
    table(metadata, "order", schema="Billing")

    def work(connection: Connection) -> None:
        migrate(connection, metadata)
        assert differences(connection, metadata) == []

    on_connection(empty_url, work)


def test_objects_of_others_stay(empty_url: URL) -> None:
    metadata = new_metadata()
    table(metadata, "ours", sa.Column("name", sa.String))

    def work(connection: Connection) -> None:
        migrate(connection, metadata)
        for statement in (
            "CREATE TABLE theirs (id int)",
            "CREATE INDEX theirs_too ON ours (name)",
            "ALTER TABLE ours ADD COLUMN their_column int",
            "CREATE SCHEMA elsewhere",
            "CREATE TABLE elsewhere.users (id int)",  # as a revision of ours names one
        ):
            connection.execute(text(statement))
        assert differences(connection, metadata) == []

    on_connection(empty_url, work)


def test_objects_of_others_stay_whatever_their_names(empty_url: URL) -> None:
    """The revisions have these names for something else, or in another schema."""
    metadata = new_metadata()
    table(metadata, "ours", sa.Column("name", sa.String))
    table(metadata, "orders", schema="Sales Dept")

    def work(connection: Connection) -> None:
        migrate(connection, metadata)
        for statement in (
            "CREATE TABLE title (id int)",
            'CREATE TABLE "version" (id int)',
            "CREATE TABLE email (id int)",
            "CREATE TABLE uq_users_email_lower (id int)",
            'CREATE TABLE "Sales Dept".idempotency_keys (id int)',
            'CREATE TABLE "Sales Dept".users (id int)',
            "ALTER TABLE ours ADD COLUMN email text",
            "ALTER TABLE ours ADD COLUMN users text",
            "ALTER TABLE ours ADD CONSTRAINT display_name UNIQUE (name)",
            "ALTER TABLE ours ADD CONSTRAINT uq_idempotency_keys_scope_key UNIQUE (name)",
            "ALTER TABLE ours ADD CONSTRAINT fk_posts_author_id_users"
            " FOREIGN KEY (id) REFERENCES ours (id)",
            "CREATE INDEX ix_posts_title_id ON ours (name)",
            "CREATE VIEW users AS SELECT 1",
            "CREATE MATERIALIZED VIEW idempotency_keys AS SELECT 1",
            "CREATE SEQUENCE fingerprint",
            "CREATE TABLE created_at (id int) PARTITION BY LIST (id)",
            "CREATE TABLE is_active PARTITION OF created_at FOR VALUES IN (1)",
        ):
            connection.execute(text(statement))
        assert differences(connection, metadata) == []

    on_connection(empty_url, work)


def test_what_revisions_create_goes_with_the_model(empty_url: URL, tmp_path: Path) -> None:
    before, after = new_metadata(), new_metadata()
    table(before, "authors", sa.Column("name", String), UniqueConstraint("name"))
    table(before, "kept", sa.Column("author_id", Integer))
    table(after, "authors", sa.Column("name", String))
    table(after, "kept", sa.Column("author_id", Integer))

    def work(connection: Connection) -> None:
        migrate(connection, before, tmp_path)
        table(
            before,
            "kept",
            sa.Column("author_id", Integer, ForeignKey("authors.id"), index=True),
            sa.Column("note", String),
            extend_existing=True,
        )
        table(before, "gone", schema="Other schema")
        migrate(connection, before, tmp_path)
        assert differences(connection, before, tmp_path) == []

        found = differences(connection, after, tmp_path)
        assert sorted((kind, getattr(found, "name", found)) for kind, *_, found in found) == [
            ("remove_column", "note"),
            ("remove_constraint", "uq_authors_name"),
            ("remove_fk", "fk_kept_author_id_authors"),
            ("remove_index", "ix_kept_author_id"),
            ("remove_table", "gone"),
        ]
        migrate(connection, after, tmp_path)
        # What a revision has dropped is not ours, if there is such a thing again.
        for statement in (
            "ALTER TABLE kept ADD COLUMN note text",
            "CREATE INDEX ix_kept_author_id ON kept (author_id)",
            "ALTER TABLE authors ADD CONSTRAINT uq_authors_name UNIQUE (name)",
            'CREATE TABLE "Other schema".gone (id int)',
        ):
            connection.execute(text(statement))
        assert differences(connection, after, tmp_path) == []

    on_connection(empty_url, work)


def test_table_whose_model_is_deleted_is_dropped(empty_url: URL) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE users (id int)"))  # a revision names it
        ((kind, dropped),) = differences(connection, MetaData())
        assert (kind, dropped.name) == ("remove_table", "users")

    on_connection(empty_url, work)


def test_enum_types_go_with_the_downgrade(empty_url: URL) -> None:
    """One type in two new tables, and one in a new column of an old table."""
    before = new_metadata()
    table(before, "old")
    after = new_metadata()
    for name in ("first", "second"):
        table(after, name, sa.Column("state", Enum("on", "it's off", name="State")))
    table(after, "old", sa.Column("kind", Enum("a", "b", name="kind")))

    def work(connection: Connection) -> None:
        migrate(connection, before)
        _, downgrade = migrate(connection, after)
        assert differences(connection, after) == []
        assert enum_types(connection) == {"State", "kind"}

        execute(context_on(connection, after), downgrade)
        assert enum_types(connection) == set()
        assert inspect(connection).get_table_names() == ["old"]

    on_connection(empty_url, work)


def test_enum_type_that_exists_is_used_again(empty_url: URL) -> None:
    metadata = new_metadata()

    def work(connection: Connection) -> None:
        for name in ("first", "second"):
            table(metadata, name, sa.Column("state", Enum("on", "off", name="state")))
            _, downgrade = migrate(connection, metadata)
        execute(context_on(connection, metadata), downgrade)
        assert enum_types(connection) == {"state"}

    on_connection(empty_url, work)


class Upper(TypeDecorator[str]):
    """A type of the app, made of an enum type."""

    impl = Enum
    cache_ok = True


class Letters(TypeDecorator[list[str]]):
    """A type of the app, made of an array of an enum type."""

    impl = ARRAY(Enum("a", "b", name="letter"))
    cache_ok = True


class Shout(TypeDecorator[str]):
    """A type of the app, made of a string."""

    impl = String
    cache_ok = True


LETTER = Enum("a", "b", name="letter")


@pytest.mark.parametrize(
    ("before", "after", "default", "types"),
    [
        (String(), LETTER, "a", {"letter"}),
        (LETTER, String(), "a", set()),
        (LETTER, Enum("a", "b", name="renamed"), "b", {"renamed"}),
        (LETTER, Enum("a", "b", name="l %s :x", schema="Types"), "b", {"l %s :x"}),
        (ARRAY(String()), ARRAY(LETTER), "{a,b}", {"letter"}),
        (ARRAY(LETTER), ARRAY(Enum("a", "b", name="renamed")), "{a}", {"renamed"}),
        (String(), Upper("a", "b", name="upper"), "a", {"upper"}),
        (ARRAY(String()), Letters(), "{a}", {"letter"}),
    ],
    ids=str,
)
def test_column_becomes_an_enum_type_or_ends_to_be_one(
    empty_url: URL, tmp_path: Path, before: Any, after: Any, default: str, types: set[str]
) -> None:
    """The rows and the default of the column are converted, there and back."""
    versions = new_metadata(), new_metadata()
    for metadata, kind in zip(versions, (before, after), strict=True):
        column = sa.Column("c :x", kind, server_default=default, nullable=metadata is versions[0])
        table(metadata, "t %s", column, schema="Some schema")

    def work(connection: Connection) -> None:
        def rows() -> list[str]:
            connection.execute(text('INSERT INTO "Some schema"."t %s" DEFAULT VALUES'))
            found = connection.scalars(verbatim('SELECT "c :x"::text FROM "Some schema"."t %s"'))
            return list(found)

        migrate(connection, versions[0], tmp_path)
        first = enum_types(connection)
        assert rows() == [default]
        _, downgrade = migrate(connection, versions[1], tmp_path)
        assert differences(connection, versions[1], tmp_path) == []
        assert enum_types(connection) == types
        assert rows() == [default] * 2

        execute(context_on(connection, versions[0], tmp_path), downgrade)
        assert differences(connection, versions[0]) == []
        assert enum_types(connection) == first
        assert rows() == [default] * 3

    on_connection(empty_url, work)


def test_type_is_dropped_with_its_last_column(empty_url: URL, tmp_path: Path) -> None:
    both, one, none = new_metadata(), new_metadata(), new_metadata()
    table(both, "first", sa.Column("letter", LETTER))
    table(both, "second", sa.Column("letters", ARRAY(LETTER)))
    table(one, "second", sa.Column("letters", ARRAY(LETTER)))
    table(one, "first")
    table(none, "first")

    def work(connection: Connection) -> None:
        migrate(connection, both, tmp_path)
        migrate(connection, one, tmp_path)
        assert enum_types(connection) == {"letter"}

        _, downgrade = migrate(connection, none, tmp_path)
        assert enum_types(connection) == set()
        execute(context_on(connection, none), downgrade)
        assert differences(connection, one) == []

    on_connection(empty_url, work)


@pytest.mark.parametrize("used_by_others", [True, False])
def test_type_of_others_stays(empty_url: URL, tmp_path: Path, used_by_others: bool) -> None:
    """The type is in use elsewhere, or no revision has created it."""
    before, after = new_metadata(), new_metadata()
    table(before, "ours", sa.Column("letter", LETTER))
    table(after, "ours")

    def work(connection: Connection) -> None:
        if not used_by_others:
            connection.execute(text("CREATE TYPE letter AS ENUM ('a', 'b')"))
        migrate(connection, before, tmp_path)
        if used_by_others:
            connection.execute(text("CREATE TABLE theirs (letters letter[])"))
        _, downgrade = migrate(connection, after, tmp_path)
        assert enum_types(connection) == {"letter"}
        execute(context_on(connection, after), downgrade)
        assert differences(connection, before) == []

    on_connection(empty_url, work)


def test_enum_types_may_have_any_names(empty_url: URL) -> None:
    labels = ["x :y", "100%", "%s", "it's", '"', "back\\slash", "\\:z", "a::b", ":", "é"]
    metadata = new_metadata()
    table(metadata, "t", sa.Column("c", Enum(*labels, name="n :a %s", schema="s :b %")))

    def work(connection: Connection) -> None:
        _, downgrade = migrate(connection, metadata)
        assert (
            list(connection.scalars(text("SELECT enumlabel FROM pg_enum ORDER BY oid"))) == labels
        )
        assert differences(connection, metadata) == []
        execute(context_on(connection, metadata), downgrade)
        assert enum_types(connection) == set()

    on_connection(empty_url, work)


def test_types_of_the_app_work_in_a_revision(empty_url: URL) -> None:
    metadata = new_metadata()
    table(
        metadata,
        "t",
        sa.Column("upper", Upper("x", name="upper")),
        sa.Column("uppers", ARRAY(Upper("x", name="upper"))),
        sa.Column("letters", Letters()),
        sa.Column("shout", Shout(20)),
    )

    def work(connection: Connection) -> None:
        _, downgrade = migrate(connection, metadata)
        assert enum_types(connection) == {"upper", "letter"}
        assert differences(connection, metadata) == []
        execute(context_on(connection, metadata), downgrade)
        assert enum_types(connection) == set()

        context = context_on(connection, metadata)
        autogenerate = AutogenContext(context, metadata)
        for kind, imported in (
            (Upper("x", name="upper"), "from sqlalchemy.dialects import postgresql"),
            (Shout(20), f"import {__name__}"),
        ):
            autogenerate.imports.clear()
            context.opts["render_item"]("type", kind, autogenerate)
            assert autogenerate.imports == {imported}

    on_connection(empty_url, work)
