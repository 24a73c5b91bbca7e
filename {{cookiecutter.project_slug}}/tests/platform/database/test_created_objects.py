"""Which objects count as created by the revisions."""

import textwrap
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, MetaData, UniqueConstraint

from app.core.database.created_objects import CreatedObjects
from app.core.database.drivers import run
from app.core.database.migrations import script_directory
from app.core.env_file import PROJECT
from tests.platform.probe import Probe
from tests.postgres import make_test_engine

NAMES = 'revision = "r"\ndown_revision = None\n'


def created(folder: Path, upgrade: str, *, constants: str = "") -> CreatedObjects:
    body = textwrap.indent(textwrap.dedent(upgrade).strip(), "    ")
    code = f"{NAMES}{constants}\ndef upgrade():\n{body}\ndef downgrade():\n    op.drop_table('t')\n"
    (folder / "r.py").write_text(code, encoding="utf-8")
    return CreatedObjects(ScriptDirectory(PROJECT / "alembic", version_locations=[folder]))


TABLE = """
op.create_table(
    "t",
    sa.Column("a", sa.Integer()),
    sa.Column("b", sa.String(20), server_default="c"),
    sa.PrimaryKeyConstraint("a", name=op.f("pk_t")),
    sa.UniqueConstraint("b", name=op.f("uq_t_b")),
    sa.ForeignKeyConstraint(["a"], ["u.a"], name="fk_t_a_u"),
)
"""
IN_TABLE = {
    ("table", None, "t", "t"),
    ("column", None, "t", "a"),
    ("column", None, "t", "b"),
    ("unique_constraint", None, "t", "uq_t_b"),
    ("foreign_key_constraint", None, "t", "fk_t_a_u"),
}


@pytest.mark.parametrize(
    ("upgrade", "objects"),
    [
        (TABLE, IN_TABLE),
        ("op.create_table(table_name='t', schema='S')", {("table", "S", "t", "t")}),
        ("op.create_table(sa.quoted_name('t', quote=True))", {("table", None, "t", "t")}),
        ("op.add_column('t', sa.Column('c'))", {("column", None, "t", "c")}),
        ("op.add_column('t', schema='S', column=Column('c'))", {("column", "S", "t", "c")}),
        ("op.create_index(op.f('i'), 't', ['a'])", {("index", None, "t", "i")}),
        ("op.create_index(INDEX, TABLE, ['a'])", {("index", None, "t", "i")}),
        ("name = 'i'\nop.create_index(f'{name}_{TABLE}', 't')", {("index", None, "t", "i_t")}),
        ("op.create_unique_constraint('u', 't', ['a'])", {("unique_constraint", None, "t", "u")}),
        (
            "op.create_foreign_key('f', 't', 'x', ['a'], ['b'], source_schema='S')",
            {("foreign_key_constraint", "S", "t", "f")},
        ),
        # Dropped or renamed afterwards.
        (f"{TABLE}\nop.drop_table('t')", set()),
        (f"{TABLE}\nop.drop_table('t', schema='S')", IN_TABLE),
        (
            f"{TABLE}\nop.rename_table('t', 'n')",
            {(kind, None, "n", "n" if name == "t" else name) for kind, _, _, name in IN_TABLE},
        ),
        (
            f"{TABLE}\nop.drop_column('t', 'a')\nop.drop_constraint('uq_t_b', 't')",
            IN_TABLE - {("column", None, "t", "a"), ("unique_constraint", None, "t", "uq_t_b")},
        ),
        (
            f"{TABLE}\nop.alter_column('t', 'a', new_column_name='n')",
            IN_TABLE - {("column", None, "t", "a")} | {("column", None, "t", "n")},
        ),
        (f"{TABLE}\nop.alter_column('t', 'a', nullable=False)", IN_TABLE),
        ("op.create_index('i', 't', ['a'])\nop.drop_index('i')", set()),
        ("op.drop_index('i')\nop.create_index('i', 't', ['a'])", {("index", None, "t", "i")}),
        # Not known: they count as those of others.
        ("op.create_table(name())", set()),
        ("op.create_table('t', schema=name)", set()),
        ("op.create_table('t', **options)", set()),
        ("op.create_index(*arguments)", set()),
        ("op.execute('CREATE TABLE t (id int)')", set()),
        ("other.create_table('t')", set()),
    ],
)
def test_objects_of_a_revision(
    tmp_path: Path, upgrade: str, objects: set[tuple[str, str | None, str, str]]
) -> None:
    constants = 'INDEX = "i"\nTABLE: str = "t"\n'
    assert created(tmp_path, upgrade, constants=constants).objects == objects


def test_revisions_of_the_app_create_all_of_its_objects(database_url: URL) -> None:
    def reflect(connection: Connection) -> set[tuple[str, str | None, str, str]]:
        metadata = MetaData()
        metadata.reflect(connection)
        found = set()
        for table in metadata.sorted_tables:
            unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
            for kind, members in (
                ("table", [table]),
                ("column", table.columns),
                ("index", table.indexes),
                ("unique_constraint", unique),
                ("foreign_key_constraint", table.foreign_key_constraints),
            ):
                found |= {(kind, None, table.name, str(member.name)) for member in members}
        # The fixture of the probe creates its table in the same database.
        others = {"alembic_version", Probe.__tablename__}
        # PGQueuer's tables are created by its own SQL, and so left alone.
        return {each for each in found if each[2] not in others and "pgqueuer" not in each[2]}

    async def connect() -> set[tuple[str, str | None, str, str]]:
        engine = make_test_engine(database_url)
        async with engine.connect() as connection:
            result = await connection.run_sync(reflect)
        await engine.dispose()
        return result

    scripts = script_directory()
    # They know of more, if a migration drops some by SQL, as migration_lint.py has it do.
    assert run(database_url, connect()) <= CreatedObjects(scripts).objects
