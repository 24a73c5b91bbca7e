"""What every repository inherits."""

from typing import Any

import pytest
from sqlalchemy import Column, Computed, Text, event, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    mapped_column,
    validates,
)

from app.core.database import Database
from app.exceptions import UnavailableError
from app.models.user import User
from app.repositories.base import Repository
from app.repositories.user_repo import UserRepository
from tests.factories import Factory
from tests.platform.probe import ProbeRepository


class OwnBase(DeclarativeBase):
    """Tables of this module."""


class Note(OwnBase):
    __tablename__ = "notes_of_test"

    id: Mapped[int] = mapped_column(primary_key=True)
    heading: Mapped[str] = mapped_column("subtitle")
    kind: Mapped[str] = mapped_column(default="plain")
    number: Mapped[int] = mapped_column(server_default=text("7"))
    doubled: Mapped[int] = column_property(number + number)


SHOUTED = Column("shouted", Text(), Computed("upper(subtitle)", persisted=True))
Note.__table__.append_column(SHOUTED)  # type: ignore[attr-defined]


class Checked(OwnBase):
    __tablename__ = "checked_of_test"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    @validates("name")
    def shout(self, _key: str, name: str) -> str:
        return name.upper()


class Inherited(OwnBase):
    __tablename__ = "inherited_of_test"
    __mapper_args__ = {"polymorphic_on": "name"}  # noqa: RUF012 (SQLAlchemy's own way)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class DataBase(MappedAsDataclass, DeclarativeBase):
    """A base of dataclasses."""


class Data(DataBase):
    __tablename__ = "data_of_test"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]


class NoteRepository(Repository[Note]):  # type: ignore[type-var]  # has a base class of its own
    model = Note


@pytest.fixture
async def notes(session: AsyncSession) -> NoteRepository:
    connection: AsyncConnection = await session.connection()
    await connection.run_sync(OwnBase.metadata.create_all)
    return NoteRepository(session)


async def test_created_row_has_its_defaults_and_is_read_by_the_names_of_attributes(
    notes: NoteRepository, session: AsyncSession
) -> None:
    note = await notes.create({"heading": "Hello"})

    assert (note.heading, note.kind, note.number) == ("Hello", "plain", 7)
    assert note in session


async def test_created_object_is_persistent_and_unmodified(
    session: AsyncSession, make: Factory
) -> None:
    users = UserRepository(session)
    created = await users.create({"email": "ann@example.com", "display_name": "Ann"})
    assert created not in session.dirty

    updated = await users.update(created, {"display_name": "Anne"})

    assert (updated.version, created.display_name) == (2, "Anne")
    assert await users.get_by_id(created.id) is created


async def test_pending_rows_are_written_before_one_that_may_refer_to_them(
    notes: NoteRepository, session: AsyncSession
) -> None:
    pending = Note(heading="First")
    session.add(pending)

    created = await notes.create({"heading": "Second"})

    assert pending.id < created.id


async def test_pending_rows_stay_pending_without_autoflush(
    notes: NoteRepository, session: AsyncSession
) -> None:
    pending = Note(heading="First")
    session.add(pending)

    with session.no_autoflush:
        await notes.create({"heading": "Second"})

    assert pending in session.new


async def test_column_without_an_attribute_is_not_read(
    notes: NoteRepository, session: AsyncSession
) -> None:
    connection = await session.connection()
    statements = []

    @event.listens_for(connection.sync_connection, "before_cursor_execute")
    def collect(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    await notes.create({"heading": "Hello"})

    (statement,) = statements
    assert "subtitle" in statement
    assert "shouted" not in statement


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(Checked, "@validates"), (Inherited, "inheritance"), (Data, "constructor of a dataclass")],
)
async def test_model_whose_constructor_does_more_than_set_values_is_not_created(
    session: AsyncSession, kind: Any, reason: str
) -> None:
    class Special(Repository[Any]):
        model = kind

    with pytest.raises(TypeError, match=rf"{kind.__name__} has .*{reason}: use session\.add"):
        await Special(session).create({"name": "Ann"})


@pytest.mark.parametrize("name", ["typo", "subtitle", "metadata", "doubled"])
async def test_value_without_a_column_is_an_error(notes: NoteRepository, name: str) -> None:
    note = await notes.create({"heading": "Hello"})

    with pytest.raises(TypeError, match=f"Note has no column '{name}'"):
        await notes.create({"heading": "Hello", name: "x"})
    with pytest.raises(TypeError, match=f"Note has no column '{name}'"):
        await notes.update(note, {name: "x"})


async def test_values_that_do_not_differ_are_not_written(
    session: AsyncSession, make: Factory
) -> None:
    user = await make.user(display_name="Ann")

    updated = await UserRepository(session).update(user, {"display_name": "Ann"})

    assert updated.version == 1


@pytest.mark.usefixtures("probe_table")
async def test_row_that_is_locked_may_be_referred_to_but_not_changed(
    live_database: Database, make_live: Factory
) -> None:
    user = await make_live.user()
    change = select(User.id).where(User.id == user.id).with_for_update(key_share=True, nowait=True)

    async with live_database.transaction() as changing, live_database.transaction() as other:
        await UserRepository(changing).get_for_update(user.id)
        probe = await ProbeRepository(other).create({"owner_id": user.id, "name": "Name"})
        with pytest.raises(UnavailableError):
            async with other.begin_nested():
                await other.scalar(change)

    assert probe.owner_id == user.id
