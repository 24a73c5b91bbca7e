"""Enum types in what autogenerate writes: created before their first use, dropped after the last.

Alembic alone would create a type with each table, but none for a new or a changed column.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateTableOp,
    ExecuteSQLOp,
    MigrateOperation,
    OpContainer,
)
from sqlalchemy import Column, Connection, Enum, FetchedValue, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import CreateEnumType, DropEnumType
from sqlalchemy.schema import DDLElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.core.database.statements import escape_colons

# With this style of parameters percent signs are not doubled.
DIALECT: Final = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]

# Columns of tables, views and so on, also as arrays.
_USES: Final = text(
    "SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " JOIN pg_type ON atttypid IN (pg_type.oid, typarray)"
    " WHERE pg_type.oid = to_regtype(CAST(:name AS text)) AND NOT attisdropped AND relkind NOT IN ('i', 'I')"
)
# The default that a column of the models has. Parameters: schema, table, column.
Default = Callable[[str | None, str, str], FetchedValue | None]


def execute(statement: DDLElement) -> ExecuteSQLOp:
    """Return the operation of a statement. `op.execute` takes strings as `text()` does."""
    return ExecuteSQLOp(escape_colons(str(statement.compile(dialect=DIALECT))))


def create(enum: postgresql.ENUM) -> ExecuteSQLOp:
    return execute(CreateEnumType(enum))


def drop(enum: postgresql.ENUM) -> ExecuteSQLOp:
    return execute(DropEnumType(enum))


def is_created_by(enum: postgresql.ENUM, statements: Iterable[str]) -> bool:
    """Return whether one of the statements creates the type, with any labels."""
    beginning = str(create(enum).sqltext).partition(" AS ENUM ")[0]
    return any(statement.startswith(f"{beginning} AS ENUM ") for statement in statements)


def count_uses(connection: Connection, enum: postgresql.ENUM) -> int:
    """Return how many columns have the type. Makes one query."""
    return connection.scalar(_USES, {"name": _name(enum)}) or 0


def enum_of(kind: object) -> postgresql.ENUM | None:
    """Return the native enum type in a column's type, or None.

    It may be within an array or a `TypeDecorator`.
    """
    kind = _plain(kind)
    if isinstance(kind, postgresql.ARRAY):
        return enum_of(kind.item_type)
    if isinstance(kind, Enum) and kind.native_enum and kind.name:
        return postgresql.ENUM(*kind.enums, name=kind.name, schema=kind.schema, create_type=False)
    return None


def render(kind: object) -> str | None:
    """Render a type with an enum type, but do not create it: that would fail in a second table."""
    enum = enum_of(kind)
    if enum is None:
        return None
    arguments = [*map(repr, enum.enums), f"name={enum.name!r}"]
    if enum.schema:
        arguments.append(f"schema={enum.schema!r}")
    rendered = f"postgresql.ENUM({', '.join(arguments)}, create_type=False)"
    return f"postgresql.ARRAY({rendered})" if _is_array(kind) else rendered


def enums_in(operation: MigrateOperation) -> Iterator[postgresql.ENUM]:
    """Yield the enum type of each column that an operation adds or changes."""
    kinds: list[object] = []
    if isinstance(operation, CreateTableOp):
        kinds = [column.type for column in operation.columns if isinstance(column, Column)]
    elif isinstance(operation, AddColumnOp):
        kinds = [operation.column.type]
    elif isinstance(operation, AlterColumnOp):
        kinds = [operation.modify_type]
    yield from filter(None, map(enum_of, kinds))


def cast_changed_columns(container: OpContainer, default: Default | None = None) -> None:
    """Let PostgreSQL convert the rows of columns whose type becomes, or was, an enum type.

    PostgreSQL does not convert a default, so it is dropped first, and then set to what `default`
    returns, or else to the old one.
    """
    changed: list[MigrateOperation] = []
    for operation in container.ops:
        if isinstance(operation, OpContainer):
            cast_changed_columns(operation, default)
        if isinstance(operation, AlterColumnOp) and operation.modify_type is not None:
            changed += _cast(operation, default)
        else:
            changed.append(operation)
    container.ops[:] = changed


def _cast(operation: AlterColumnOp, default: Default | None) -> Iterator[MigrateOperation]:
    kind, before = operation.modify_type, operation.existing_type
    if kind is None or not (enum_of(kind) or enum_of(before)):
        yield operation
        return
    schema, table, column = operation.schema, operation.table_name, operation.column_name
    quote = DIALECT.identifier_preparer.quote
    name = quote(column)
    through = "TEXT[]" if _is_array(kind) else "TEXT"
    new = DIALECT.type_compiler_instance.process(cast("TypeEngine[object]", kind))
    changes = [f"ALTER COLUMN {name} TYPE {new} USING CAST(CAST({name} AS {through}) AS {new})"]
    server_default = operation.modify_server_default
    if operation.existing_server_default:
        changes.insert(0, f"ALTER COLUMN {name} DROP DEFAULT")
        if server_default is False:
            found = default(schema, table, column) if default else None
            server_default = found if default else operation.existing_server_default
    qualified = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    yield ExecuteSQLOp(escape_colons(f"ALTER TABLE {qualified} {', '.join(changes)}"))
    rest = AlterColumnOp(
        table,
        column,
        schema=schema,
        existing_type=kind,
        existing_nullable=operation.existing_nullable,
        existing_comment=operation.existing_comment,
        modify_nullable=operation.modify_nullable,
        modify_comment=operation.modify_comment,
        modify_server_default=False if server_default is None else server_default,
    )
    if rest.has_changes():
        yield rest


def _plain(kind: object) -> object:
    while isinstance(kind, TypeDecorator):
        kind = kind.load_dialect_impl(DIALECT)
    return kind.dialect_impl(DIALECT) if isinstance(kind, TypeEngine) else kind


def _is_array(kind: object) -> bool:
    return isinstance(_plain(kind), postgresql.ARRAY)


def _name(enum: postgresql.ENUM) -> str:
    return DIALECT.type_compiler_instance.process(enum)
