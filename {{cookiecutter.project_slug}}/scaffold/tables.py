"""The tables of a resource that is removed or renamed, in the database that the commands use."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Final

from sqlalchemy import MetaData, Table, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import DropTable

from app.cli import dev_server
from app.cli.commands import CommandError, with_database
from app.core.config import DatabaseSettings, load_settings
from app.core.database import Database
from app.core.database.statements import verbatim

# The statements that rename tables and what belongs to them, each up to the new name, with the old name. The
# tables themselves come last.
_NAMED: Final = text(
    """
    SELECT format('ALTER TABLE %s RENAME CONSTRAINT %I', CAST(conrelid AS regclass), conname), CAST(conname AS text)
    FROM pg_constraint WHERE conrelid = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))
    UNION ALL
    SELECT format('ALTER INDEX %s RENAME', CAST(indexrelid AS regclass)), CAST(CAST(indexrelid AS regclass) AS text)
    FROM pg_index WHERE indrelid = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT format('ALTER TABLE %s RENAME COLUMN %I', CAST(attrelid AS regclass), attname), CAST(attname AS text)
    FROM pg_attribute WHERE attrelid = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))
    AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('ALTER SEQUENCE %s RENAME', CAST(objid AS regclass)), CAST(CAST(objid AS regclass) AS text)
    FROM pg_depend WHERE refobjid = ANY(CAST(CAST(:tables AS text[]) AS regclass[])) AND deptype = 'i'
    AND objid IN (SELECT oid FROM pg_class WHERE relkind = 'S')
    UNION ALL
    SELECT format('ALTER TABLE %s RENAME', CAST(name AS regclass)), name
    FROM unnest(CAST(:tables AS text[])) AS name
    """
)

Removed = Mapping[str, str]  # revisions, with the ones that they follow


def drop_tables(
    tables: Sequence[str],
    revisions: Removed,
    changed_files: AbstractContextManager[None],
    *,
    anywhere: bool,
) -> list[str]:
    """Drop the tables, and change the files unless that fails. Return the dropped tables.

    Without `anywhere` only tables of the embedded server are dropped. Raises `CommandError` if
    there are any in another database.
    """

    async def drop(session: AsyncSession, found: Sequence[str]) -> None:
        for name in reversed(found):
            await session.execute(DropTable(Table(name, MetaData())))
        for revision in revisions if found else ():
            step = text("UPDATE alembic_version SET version_num = :to WHERE version_num = :old")
            values = {"old": revision, "to": surviving(revision, revisions)}
            await session.execute(step, values)

    return _change_tables(
        tables,
        drop,
        changed_files,
        "{table}, whose rows would be lost. Repeat the command with --drop-table if that is what you "
        "want",
        anywhere=anywhere,
    )


def rename_tables(
    tables: Sequence[str],
    rename: Callable[[str], str],
    changed_files: AbstractContextManager[None],
) -> list[str]:
    """Rename tables of the embedded server, and change the files unless that fails.

    Return the new names of those that existed. Raises `CommandError` if there are any in another
    database.
    """

    async def rename_all(session: AsyncSession, found: Sequence[str]) -> None:
        for command, name in (await session.execute(_NAMED, {"tables": found})).all():
            if rename(name) != name:
                await session.execute(verbatim(f"{command} TO {rename(name)}"))

    refusal = "{table}: rename it in a migration, or keep its name"
    return [rename(name) for name in _change_tables(tables, rename_all, changed_files, refusal)]


def _change_tables(
    tables: Sequence[str],
    change: Callable[[AsyncSession, Sequence[str]], Awaitable[None]],
    changed_files: AbstractContextManager[None],
    refusal: str,
    *,
    anywhere: bool = False,
) -> list[str]:
    """Change the tables that exist, and the files: both or neither. Return those tables.

    Without `anywhere`, raises `CommandError` for tables of another server than the embedded one.
    """
    is_embedded = dev_server.uses_embedded_server()
    if is_embedded and not _has_embedded_data():
        with changed_files:
            return []

    async def work(database: Database) -> list[str]:
        # The stack undoes the changes of files if the transaction is not committed.
        with ExitStack() as stack:
            async with database.transaction() as session:
                exists = text("SELECT to_regclass(:name) IS NOT NULL")
                found = [name for name in tables if await session.scalar(exists, {"name": name})]
                if found and not (anywhere or is_embedded):
                    shown = refusal.format(table=found[0])
                    raise CommandError(f"The database of DATABASE_URL has the table {shown}")
                await change(session, found)
                stack.enter_context(changed_files)
        return found

    with dev_server.database_url() as url:
        owner = None if is_embedded else load_settings(DatabaseSettings).database_direct_url
        return with_database(owner or url, work)


def surviving(revision: str, revisions: Removed) -> str:
    """Return the revision before this one that is not removed."""
    while revision in revisions:
        revision = revisions[revision]
    return revision


def _has_embedded_data() -> bool:
    from app.cli.embedded_postgres import data_folder

    # Without one of them, there was no server, and `data_folder` might create the other.
    if not any((dev_server.DIRECTORY / name).exists() for name in ("data", "marker")):
        return False
    return (data_folder(dev_server.DIRECTORY / "data") / "PG_VERSION").exists()
