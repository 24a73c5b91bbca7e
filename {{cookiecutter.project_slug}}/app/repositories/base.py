from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Executable,
    Row,
    Select,
    Text,
    bindparam,
    insert,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Session, make_transient_to_detached

from app.models.base import Base

ModelT = TypeVar("ModelT", bound=Base)


class Repository(Generic[ModelT]):
    """The reads and writes of every table, one statement each.

    A subclass names its `model`. Repositories never commit; the owner of the session does.
    """

    model: type[ModelT]

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def one(self, statement: Select[ModelT], parameters: Mapping[str, Any]) -> ModelT | None:
        """Return the first row of a statement, or None if it has none."""
        row: ModelT | None = await self._session.scalar(statement, parameters)
        return row

    async def all(
        self, statement: Select[ModelT], parameters: Mapping[str, Any]
    ) -> Sequence[ModelT]:
        """Return all rows of a statement."""
        return (await self._session.scalars(statement, parameters)).all()

    async def row(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Row[*tuple[Any, ...]] | None:
        """Return the only row of a statement with several columns, or None if it has none."""
        return (await self._session.execute(statement, parameters)).one_or_none()

    async def changed_rows(self, statement: Executable) -> int:
        """Run an UPDATE or DELETE that returns a column, and return the number of rows."""
        return len((await self._session.scalars(statement)).all())

    async def page(
        self,
        statement: Select[ModelT],
        *,
        limit: int,
        after: Sequence[Any] = (),
        **parameters: object,
    ) -> Sequence[ModelT]:
        """Return up to `limit` rows of a statement by `keyset`.

        `after` holds the sort values of the last row of the previous page, for a statement by
        `keyset(..., after=True)`.
        """
        return await self.all(statement, {**place(limit, after), **parameters})

    async def create(self, values: Mapping[str, Any]) -> ModelT:
        """Insert a row from the values of its attributes, and return it as it is stored.

        The object is built by the model's constructor, and none of its relationships is loaded. Raises
        `TypeError` for a name that is no column of the model, and for a model with inheritance,
        `@validates` or the constructor of a dataclass. For these, and for a model with an `__init__` or
        a `@reconstructor` of its own, use `session.add()` and `flush()`.
        """
        columns = _columns(self.model)
        try:
            parameters = {columns[name].key: value for name, value in values.items()}
        except KeyError as error:
            raise _unknown(self.model, error.args[0]) from None
        return await self._session.run_sync(_create, self.model, parameters)

    async def update(self, row: ModelT, values: Mapping[str, Any]) -> ModelT:
        """Write the values that differ. Runs no statement if none does.

        Raises `TypeError` for a name that is no column of the model.
        """
        columns = _columns(self.model)
        for name, value in values.items():
            if name not in columns:
                raise _unknown(self.model, name)
            setattr(row, name, value)
        await self._session.flush()
        return row

    async def delete(self, row: ModelT) -> None:
        """Delete a row."""
        await self._session.delete(row)
        await self._session.flush()


@cache
def _columns(model: type[Base]) -> Mapping[str, Column[Any]]:
    """Return a model's columns by the names of their attributes, without computed attributes.

    A column without an attribute, such as one that an index needs, is left out.
    """
    columns = {each.key: each.columns[0] for each in model.__mapper__.column_attrs}
    return {name: column for name, column in columns.items() if isinstance(column, Column)}


def _unknown(model: type[Base], name: str) -> TypeError:
    return TypeError(f"{model.__name__} has no column {name!r}")


@cache
def _insert(model: type[Base]) -> Executable:
    """Build the INSERT of a model's table, which returns each column by the name of its attribute."""
    _require_plain(model)
    columns = [column.label(name) for name, column in _columns(model).items()]
    return insert(model.__table__).returning(*columns)


def _require_plain(model: type[Base]) -> None:
    """Raise `TypeError` if the constructor of a model does more than set what it is given."""
    mapper = model.__mapper__
    for is_special, what in (
        (mapper.inherits is not None or mapper.polymorphic_on is not None, "inheritance"),
        (bool(mapper.validators), "@validates"),
        (is_dataclass(model), "the constructor of a dataclass"),
    ):
        if is_special:
            raise TypeError(f"{model.__name__} has {what}: use session.add() and flush()")


def _create(session: Session, model: type[ModelT], parameters: Mapping[str, Any]) -> ModelT:
    """Insert a row, and return it as a persistent object of the session.

    Adding an object and flushing it takes more CPU time, and so does a statement of the ORM that
    returns one (see docs/decisions/0006).
    """
    statement = _insert(model)
    if session.autoflush:
        session.flush()  # as before a query: the row may refer to a pending one
    row = session.execute(statement, parameters).mappings().one()
    created = model(**row)
    make_transient_to_detached(created)
    session.add(created)
    return created


def for_update(statement: Select[ModelT]) -> Select[ModelT]:
    """Return a statement that locks its rows until the transaction ends, and reads their current state.

    FOR NO KEY UPDATE: others that lock or change these rows wait, but not those that refer to them by
    a foreign key. Deleting a row, or changing its key, waits for those that refer to it, too.
    """
    # populate_existing: the session may have loaded an older state before the lock.
    return statement.with_for_update(key_share=True).execution_options(populate_existing=True)


def keyset(
    statement: Select[ModelT],
    *columns: ColumnElement[Any],
    descending: bool = False,
    after: bool = False,
) -> Select[ModelT]:
    """Return a statement for `Repository.page`, ordered by columns of which the last is unique.

    With `after` it starts after a given row, by a row comparison that PostgreSQL evaluates with an
    index on these columns.
    """
    order = [column.desc() if descending else column for column in columns]
    statement = statement.order_by(*order).limit(bindparam("n"))
    if after:
        last = tuple_(
            *(
                bindparam(f"last_{number}", type_=column.type)
                for number, column in enumerate(columns)
            )
        )
        row = tuple_(*columns)
        statement = statement.where(row < last if descending else row > last)
    return statement


def place(limit: int, after: Sequence[Any]) -> dict[str, Any]:
    """Return the parameters of a statement by `keyset`, as `Repository.page` describes them."""
    return {"n": limit, **{f"last_{number}": value for number, value in enumerate(after)}}


def contains(column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return a condition that a column contains the text of `containing`, ignoring case.

    It needs an index of the column's trigrams, as `User` has.
    """
    return column.ilike(bindparam("pattern", type_=Text()), escape="\\")


def containing(text: str) -> str:
    """Return the parameter `pattern` of `contains`: a text that is taken literally."""
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"
