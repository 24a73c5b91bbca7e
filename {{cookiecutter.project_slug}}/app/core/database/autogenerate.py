"""What `alembic revision --autogenerate` and `alembic check` compare, and how they write it."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, cast

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AddColumnOp,
    CreateTableOp,
    ExecuteSQLOp,
    MigrateOperation,
    MigrationScript,
    OpContainer,
)
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Enum, MetaData, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import CreateEnumType, DropEnumType
from sqlalchemy.dialects.postgresql.base import PGInspector
from sqlalchemy.schema import CreateSchema

from app.core.database.migrations import PROJECT

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]


def autogenerate_options(metadata: MetaData) -> dict[str, Any]:
    """Return the options of Alembic's `context.configure`.

    Tables may be in any schema. Objects that neither a model nor a revision names are left alone.
    Enum types are created once, and dropped by the downgrade.
    """
    schemas = {table.schema for table in metadata.tables.values()}

    def include_name(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "schema" or name is None or name in schemas

    return {
        "target_metadata": metadata,
        "include_schemas": True,
        "include_name": include_name,
        "include_object": _include_object,
        "render_item": _render_item,
        "process_revision_directives": _add_schemas_and_types,
    }


def _include_object(
    _object: object, name: str | None, _kind: str, reflected: bool, compare_to: object
) -> bool:
    is_unknown = reflected and compare_to is None and name is not None
    return not is_unknown or bool(re.search(rf"""["']{re.escape(str(name))}["']""", _revisions()))


@cache
def _revisions() -> str:
    folder = PROJECT / "alembic" / "versions"
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))


def _render_item(kind: str, item: object, context: AutogenContext) -> str | bool:
    """Render an enum type without its creation, which would fail in a second table."""
    if kind != "type" or not isinstance(item, Enum) or not item.native_enum or not item.name:
        return False
    context.imports.add("from sqlalchemy.dialects import postgresql")
    arguments = [*map(repr, item.enums), f"name={item.name!r}"]
    if item.schema:
        arguments.append(f"schema={item.schema!r}")
    return f"postgresql.ENUM({', '.join(arguments)}, create_type=False)"


def _add_schemas_and_types(
    context: MigrationContext, _revision: object, directives: list[MigrationScript]
) -> None:
    """Create what the revision's tables need beforehand. The downgrade keeps the schemas."""
    connection = context.connection
    script, *_ = directives
    if connection is None or script.upgrade_ops is None or script.downgrade_ops is None:
        return
    inspector = cast("PGInspector", inspect(connection))
    existing = {(enum["schema"], enum["name"]) for enum in inspector.get_enums(schema="*")}
    default = inspector.default_schema_name
    schemas, enums = set(), {}
    for operation in _flatten(script.upgrade_ops):
        if isinstance(operation, CreateTableOp) and operation.schema:
            schemas.add(operation.schema)
        for enum in _enums(operation):
            if (enum.schema or default, enum.name) not in existing:
                enums[enum.schema, enum.name] = enum
    before: list[MigrateOperation] = [
        ExecuteSQLOp(str(CreateSchema(name, if_not_exists=True).compile(dialect=_DIALECT)))
        for name in sorted(schemas - set(inspector.get_schema_names()))
    ]
    before += [
        ExecuteSQLOp(str(CreateEnumType(enum).compile(dialect=_DIALECT))) for enum in enums.values()
    ]
    script.upgrade_ops.ops[:0] = before
    script.downgrade_ops.ops.extend(
        ExecuteSQLOp(str(DropEnumType(enum).compile(dialect=_DIALECT))) for enum in enums.values()
    )


def _flatten(container: OpContainer) -> Iterator[MigrateOperation]:
    for operation in container.ops:
        if isinstance(operation, OpContainer):
            yield from _flatten(operation)
        else:
            yield operation


def _enums(operation: MigrateOperation) -> Iterator[postgresql.ENUM]:
    """Yield the native enum types of the columns that an operation adds."""
    columns: list[Any] = []
    if isinstance(operation, CreateTableOp):
        columns = list(operation.columns)
    elif isinstance(operation, AddColumnOp):
        columns = [operation.column]
    for column in columns:
        if not isinstance(column, Column):
            continue
        kind = column.type
        kind = kind.item_type if isinstance(kind, postgresql.ARRAY) else kind
        if isinstance(kind, Enum) and kind.native_enum and kind.name:
            yield postgresql.ENUM(*kind.enums, name=kind.name, schema=kind.schema)
