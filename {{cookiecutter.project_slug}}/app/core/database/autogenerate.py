"""Options of `alembic revision --autogenerate` and `alembic check`: what to compare and render."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateTableOp, MigrateOperation, MigrationScript, OpContainer
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, FetchedValue, MetaData, Table, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGInspector
from sqlalchemy.schema import CreateSchema
from sqlalchemy.types import TypeEngine

from app.core.database import enum_types
from app.core.database.created_objects import CreatedObjects, DatabaseObject
from app.core.database.migrations import script_directory


def autogenerate_options(
    metadata: MetaData, scripts: ScriptDirectory | None = None
) -> dict[str, Any]:
    """Return the options of Alembic's `context.configure`.

    Tables may be in any schema. Objects that no model has and no revision creates are left alone.
    Enum types are created before their first use, and dropped after the last.
    """

    @cache
    def created() -> CreatedObjects:  # once it is needed, because it reads all revisions
        return CreatedObjects(scripts or script_directory())

    def include_name(name: str | None, kind: str, _parents: object) -> bool:
        if kind != "schema" or name is None:
            return True
        used = {table.schema for table in metadata.tables.values()}
        return name in used or name in created().schemas()

    def include_object(
        item: Any, name: str | None, kind: str, reflected: bool, compare_to: object
    ) -> bool:
        if not reflected or compare_to is not None or name is None:
            return True
        table = item if isinstance(item, Table) else item.table
        return DatabaseObject(kind, table.schema, table.name, name) in created().objects

    def add_schemas_and_types(
        context: MigrationContext, _revision: object, directives: list[MigrationScript]
    ) -> None:
        if context.connection is not None:
            _Additions(context.connection, metadata, created()).add_to(directives[0])

    return {
        "target_metadata": metadata,
        "include_schemas": True,
        "include_name": include_name,
        "include_object": include_object,
        "render_item": _render_item,
        "process_revision_directives": add_schemas_and_types,
    }


def _render_item(kind: str, item: object, context: AutogenContext) -> str | bool:
    if kind != "type":
        return False
    if rendered := enum_types.render(item):
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return rendered
    module = type(item).__module__
    if isinstance(item, TypeEngine) and not module.startswith("sqlalchemy."):
        context.imports.add(f"import {module}")  # Alembic renders the type with its module
    return False


class _Additions:
    """The schemas and enum types that a revision has to create or drop besides its tables."""

    def __init__(self, connection: Connection, metadata: MetaData, created: CreatedObjects) -> None:
        self._connection = connection
        self._metadata = metadata
        self._created = created
        self._inspector = cast("PGInspector", inspect(connection))
        self._default_schema = self._inspector.default_schema_name
        self._existing = {
            (enum["schema"], enum["name"]) for enum in self._inspector.get_enums(schema="*")
        }

    def add_to(self, script: MigrationScript) -> None:
        """Create schemas and enum types. The downgrade keeps the schemas."""
        upgrade, downgrade = script.upgrade_ops, script.downgrade_ops
        if upgrade is None or downgrade is None:
            return
        schemas = {
            operation.schema
            for operation in _flatten(upgrade)
            if isinstance(operation, CreateTableOp)
        }
        gained = {
            self._key(enum): enum
            for operation in _flatten(upgrade)
            for enum in enum_types.enums_in(operation)
        }
        new = [enum for key, enum in gained.items() if key not in self._existing]
        old = self._unused(downgrade)
        schemas |= {enum.schema for enum in new}
        missing = schemas - {None, *self._inspector.get_schema_names()}

        enum_types.cast_changed_columns(upgrade, self._default)
        enum_types.cast_changed_columns(downgrade)
        upgrade.ops[:0] = [
            *(
                enum_types.execute(CreateSchema(name, if_not_exists=True))
                for name in sorted(filter(None, missing))
            ),
            *map(enum_types.create, new),
        ]
        upgrade.ops.extend(map(enum_types.drop, old))
        downgrade.ops[:0] = [*map(enum_types.create, old)]
        downgrade.ops.extend(map(enum_types.drop, new))

    def _unused(self, downgrade: OpContainer) -> list[postgresql.ENUM]:
        """Return the enum types of earlier revisions that no column uses any more."""
        lost = [enum for step in _flatten(downgrade) for enum in enum_types.enums_in(step)]
        uses = Counter(map(self._key, lost))
        for table in self._metadata.tables.values():
            for column in table.columns:
                if enum := enum_types.enum_of(column.type):
                    uses.pop(self._key(enum), None)
        return [
            enum
            for enum in {self._key(enum): enum for enum in lost}.values()
            if uses[self._key(enum)]
            and enum_types.is_created_by(enum, self._created.statements)
            and enum_types.count_uses(self._connection, enum) == uses[self._key(enum)]
        ]

    def _key(self, enum: postgresql.ENUM) -> tuple[str | None, str | None]:
        return enum.schema or self._default_schema, enum.name

    def _default(self, schema: str | None, table: str, column: str) -> FetchedValue | None:
        """Return the server default of a column of the models."""
        key = f"{schema}.{table}" if schema else table
        return self._metadata.tables[key].columns[column].server_default


def _flatten(container: OpContainer) -> Iterator[MigrateOperation]:
    for operation in container.ops:
        if isinstance(operation, OpContainer):
            yield from _flatten(operation)
        else:
            yield operation
