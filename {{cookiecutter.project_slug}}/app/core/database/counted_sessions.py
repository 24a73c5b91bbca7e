"""Session classes whose time in the database counts against a budget."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, AsyncSessionTransaction
from sqlalchemy.orm import Session

from app.core.database.budget import CURRENT_BUDGET, Budget
from app.core.database.errors import FailedTransactionError, ReadOnlySessionError, require_success

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

_ENGINE: Final = "engine"  # in the `info` of a session


class Counted(Protocol):
    """An object whose calls count against its own budget, or else against the current one.

    It needs its own where blocks are nested: within the inner block, the inner budget is current.
    """

    @property
    def budget(self) -> Budget | None: ...


def counted(method: MethodT, *, connects: bool = False) -> MethodT:
    """Wrap a coroutine method of a `Counted` object so that its time counts.

    If it `connects` a session, the session chooses its server first.
    """

    @wraps(method)
    async def count(owner: Counted, *arguments: Any, **options: Any) -> Any:
        if connects and isinstance(owner, CountedSession) and owner.choice:
            await owner.choose_server()
        current = CURRENT_BUDGET.get()
        budget = owner.budget or current
        if budget is None:
            return await method(owner, *arguments, **options)
        if budget is not current:
            CURRENT_BUDGET.set(budget)
        budget.start_call()
        try:
            return await method(owner, *arguments, **options)
        finally:
            budget.end_call()
            if budget is not current:
                CURRENT_BUDGET.set(current)

    return cast("MethodT", count)


def connecting(method: MethodT) -> MethodT:
    """Wrap a method of a session that connects it. Its time counts."""
    return counted(method, connects=True)


def connecting_until_release(method: MethodT) -> MethodT:
    """Wrap a method of a session that connects it, and whose result uses the database later.

    Time counts from its call until the connection is released.
    """

    @connecting
    @wraps(method)
    async def count(*arguments: Any, **options: Any) -> Any:
        result = await method(*arguments, **options)
        if budget := CURRENT_BUDGET.get():
            budget.hand_out()
        return result

    return cast("MethodT", count)


class CountedTransaction(AsyncSessionTransaction):
    """A transaction or savepoint that counts, and refuses to commit after a failed statement."""

    @property
    def budget(self) -> Budget | None:
        return cast("CountedSession", self.session).budget

    start = counted(AsyncSessionTransaction.start)
    rollback = counted(AsyncSessionTransaction.rollback)

    @counted
    async def commit(self) -> None:
        """Commit. Raises `FailedTransactionError` if a statement has failed."""
        await self._require_success()
        await super().commit()

    @counted
    async def __aexit__(
        self, kind: Any, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            try:
                await self._require_success()
            except FailedTransactionError as failure:
                await super().__aexit__(type(failure), failure, failure.__traceback__)
                raise
        await super().__aexit__(kind, error, traceback)

    async def _require_success(self) -> None:
        if not self.nested:  # PostgreSQL itself refuses to release a savepoint that has failed
            await require_success(self.session)


class CountedSession(AsyncSession):
    """A session whose time in the database counts against its budget, or else the current one.

    Listening to SQLAlchemy's events instead costs too much (see docs/decisions/0006). Methods that
    are missing here call ones that are counted: a test compares the list with SQLAlchemy's.
    """

    budget: Budget | None = None

    choice: Callable[[Any], Awaitable[None]] | None = None

    execute = connecting(AsyncSession.execute)
    scalar = connecting(AsyncSession.scalar)  # type: ignore[assignment, arg-type]  # overloaded
    get = connecting(AsyncSession.get)
    get_one = connecting(AsyncSession.get_one)
    refresh = connecting(AsyncSession.refresh)
    merge = connecting(AsyncSession.merge)
    merge_all = connecting(AsyncSession.merge_all)
    delete = connecting(AsyncSession.delete)
    delete_all = connecting(AsyncSession.delete_all)
    flush = connecting(AsyncSession.flush)
    run_sync = connecting(AsyncSession.run_sync)
    commit = counted(AsyncSession.commit)
    rollback = counted(AsyncSession.rollback)
    close = counted(AsyncSession.close)
    reset = counted(AsyncSession.reset)
    invalidate = counted(AsyncSession.invalidate)
    connection = connecting_until_release(AsyncSession.connection)
    stream = connecting_until_release(AsyncSession.stream)

    def choose_by(self, choice: Callable[[Any], Awaitable[None]]) -> None:
        """Call `choice` with the session before its first statement. It may call `move_to`."""
        self.choice = choice

    async def choose_server(self) -> None:
        """Call what `choose_by` was given."""
        choice, self.choice = self.choice, None  # before, because it runs statements itself
        if choice:
            try:
                await choice(self)
            except BaseException:
                self.choice = choice
                raise

    def move_to(self, engine: AsyncEngine | None) -> None:
        """Run statements on another engine, or on the session's own.

        Raises `TypeError` if the `sync_session_class` of the session is not `RoutedSession`.
        """
        if not isinstance(self.sync_session, RoutedSession):
            raise TypeError("The session cannot move: its sync_session_class is not RoutedSession")
        self.info[_ENGINE] = engine and engine.sync_engine

    async def finish(self) -> None:
        """Commit and close, as `commit` does."""
        await self.commit()
        await AsyncSession.close(self)  # not counted: nothing is left to ask the database

    def begin(self) -> AsyncSessionTransaction:
        """Return a transaction to enter: `async with session.begin(): ...`."""
        return CountedTransaction(self)

    def begin_nested(self) -> AsyncSessionTransaction:
        """Return a savepoint to enter: `async with session.begin_nested(): ...`."""
        return CountedTransaction(self, nested=True)


class RoutedSession(Session):
    """The `sync_session_class` of a session that can move to another engine."""

    def get_bind(self, *arguments: Any, **options: Any) -> Engine | Connection:
        """Return the engine of `CountedSession.move_to`, or the session's own."""
        engine: Engine | None = self.info.get(_ENGINE)
        return engine or super().get_bind(*arguments, **options)


@dataclass(slots=True)
class TransactionCounts:
    """How many transactions of a database were committed, and rolled back."""

    commits: int = 0
    rollbacks: int = 0

    def note_commit(self) -> None:
        """Count a commit."""
        self.commits += 1

    def note_rollback(self) -> None:
        """Count a rollback."""
        self.rollbacks += 1


class WriteSession(CountedSession):
    """A session that refuses to commit after a failed statement."""

    @property
    def transactions(self) -> TransactionCounts:
        """The counts of the database that has opened the session."""
        counts: TransactionCounts = self.info.setdefault("transactions", TransactionCounts())
        return counts

    async def commit(self) -> None:
        """Commit. Raises `FailedTransactionError` if a statement has failed."""
        await self._commit(Session.commit)

    async def finish(self) -> None:
        """Commit and close, in one switch to SQLAlchemy's greenlet (see docs/decisions/0006)."""
        await self._commit(_commit_and_close)

    async def _commit(self, commit: Callable[[Session], None]) -> None:
        await require_success(self)
        has_begun = self.in_transaction()
        await self.run_sync(commit)
        if has_begun:
            self.transactions.note_commit()


def _commit_and_close(session: Session) -> None:
    session.commit()
    session.close()


class ReadSession(CountedSession):
    """A session on an engine on which PostgreSQL refuses writes."""

    async def commit(self) -> None:
        """Raise `ReadOnlySessionError` for unflushed changes, which would be lost silently."""
        if self.identity_map.check_modified() or self.new or self.deleted:
            raise ReadOnlySessionError


class PooledReadSession(ReadSession):
    """A read session behind a pooler, where reads run in a transaction."""

    async def commit(self) -> None:
        """End the transaction. Raises `ReadOnlySessionError` as `ReadSession` does."""
        await super().commit()
        await self.rollback()  # it costs as much as COMMIT
