from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    Table,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import metadata
from app.models.idempotency_key import IdempotencyKey
from app.models.user import User
from app.repositories.idempotency_key_repo import is_about_user

_EMAIL: Final = func.lower(bindparam("email"))


class PersonalDataRepository:
    """SQL for everything that is stored about a person, in any table.

    That is each row with the person's e-mail address in a column `email`, and each row whose
    foreign key leads to such a row, directly or through other tables, unless the key has
    `info={"personal": False}`.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def export(self, email: str) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of each table that has some, in one statement for each table.

        Secrets are left out: binary columns, and those with `info={"secret": True}`.
        """
        found = {}
        for table in metadata.sorted_tables:
            condition = _is_about(table, frozenset())
            if condition is not None:
                rows = await self._session.execute(
                    select(*_public(table)).where(condition), {"email": email}
                )
                found[table.name] = [dict(row) for row in rows.mappings()]
        return {name: rows for name, rows in found.items() if rows}

    async def erase(self, email: str) -> int:
        """Delete the rows with the address, and what belongs to them by ON DELETE CASCADE.

        Runs a statement for each table with a column `email`, and one for the responses that are kept
        for repeated requests: the person's, and those that created the person. Returns the
        number of rows, without those responses and without what the cascade deleted.
        """
        is_about_person = exists().where(func.lower(User.email) == _EMAIL, is_about_user(User.id))
        await self._session.execute(delete(IdempotencyKey).where(is_about_person), {"email": email})
        deleted = 0
        for table in reversed(metadata.sorted_tables):
            if "email" in table.c:
                statement = delete(table).where(func.lower(table.c.email) == _EMAIL)
                returning = statement.returning(table.c.email)
                deleted += len((await self._session.scalars(returning, {"email": email})).all())
        return deleted


def _is_about(table: Table, seen: frozenset[Table]) -> ColumnElement[bool] | None:
    """Return the condition of a table's rows about the person, or None if it can have none."""
    conditions = [] if "email" not in table.c else [func.lower(table.c.email) == _EMAIL]
    for key in table.foreign_keys:
        parent = key.column.table
        if parent not in seen | {table} and key.info.get("personal", True):
            of_parent = _is_about(parent, seen | {table})
            if of_parent is not None:
                conditions.append(key.parent.in_(select(key.column).where(of_parent)))
    return or_(*conditions) if conditions else None


def _public(table: Table) -> Iterator[Column[Any]]:
    for column in table.columns:
        if not isinstance(column.type, LargeBinary) and not column.info.get("secret"):
            yield column
