"""Columns of a statement become fields by their names, or there is an error."""

from dataclasses import dataclass

import pytest
from sqlalchemy import false, literal, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import raiseload

from app.models.user import User
from app.repositories.named_columns import NamedColumns
from tests.factories import Factory


@dataclass(frozen=True, slots=True)
class Flags:
    is_new: bool
    is_mine: bool
    user: User


FLAGS = NamedColumns(Flags, user=User, is_mine=true(), is_new=false())


async def test_fields_are_filled_by_name_whatever_the_order_of_the_columns(
    session: AsyncSession, make: Factory
) -> None:
    user = await make.user()
    statement = FLAGS.select().options(raiseload("*"))
    shuffled = select(true().label("is_mine"), User, literal(1), false().label("is_new"))
    expected = Flags(is_new=False, is_mine=True, user=user)

    for each in (statement, shuffled):
        assert FLAGS.rows(await session.execute(each)) == [expected]
        assert FLAGS.one(await session.execute(each)) == expected
    (mapping,) = (await session.execute(shuffled)).mappings()
    assert FLAGS.of(mapping) == expected


async def test_no_row_is_none(session: AsyncSession) -> None:
    assert FLAGS.rows(await session.execute(FLAGS.select().where(false()))) == []
    assert FLAGS.one(await session.execute(FLAGS.select().where(false()))) is None


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"user": User, "is_mine": true()}, "is_new"),
        ({"user": User, "is_mine": true(), "is_new": false(), "is_old": true()}, "is_old"),
        ({"user": User, "is_mine": true(), "is_old": false()}, "is_new, is_old"),
    ],
)
def test_names_that_differ_are_refused_where_they_are_written(
    columns: dict[str, object], named: str
) -> None:
    with pytest.raises(TypeError, match=f"Flags needs one column for each field, unlike {named}$"):
        NamedColumns(Flags, **columns)


def test_row_type_is_a_dataclass() -> None:
    with pytest.raises(TypeError, match="User is not a dataclass"):
        NamedColumns(User, id=User.id)


async def test_statement_without_a_column_is_refused(session: AsyncSession, make: Factory) -> None:
    await make.user()
    without = select(User, true().label("is_mine"))

    with pytest.raises(KeyError, match="is_new"):
        FLAGS.rows(await session.execute(without))
    with pytest.raises(KeyError, match="is_new"):
        FLAGS.of((await session.execute(without)).mappings().one())
