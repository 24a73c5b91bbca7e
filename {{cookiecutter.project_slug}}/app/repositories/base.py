from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.base import Base

ModelT = TypeVar("ModelT", bound=Base)


class Repository(Generic[ModelT]):
    """The reads and writes of every table, one statement each.

    Repositories never commit; the owner of the session does.
    """

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
        place = {f"last_{number}": value for number, value in enumerate(after)}
        return await self.all(statement, {"n": limit, **place, **parameters})

    async def create(self, row: ModelT) -> ModelT:
        """Insert a row, and load its server-generated values."""
        self._session.add(row)
        await self._session.flush()
        return row

    async def update(self, row: ModelT, values: Mapping[str, Any]) -> ModelT:
        """Write the values that differ. Runs no statement if none does."""
        for name, value in values.items():
            setattr(row, name, value)
        await self._session.flush()
        return row

    async def delete(self, row: ModelT) -> None:
        """Delete a row."""
        await self._session.delete(row)
        await self._session.flush()


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
        place = tuple_(*columns)
        statement = statement.where(place < last if descending else place > last)
    return statement
