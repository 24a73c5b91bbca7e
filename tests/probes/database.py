"""The PostgreSQL of a service, as far as a probe does something to it."""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from faults.postgres_process import PostgresProcess
from psycopg import sql

from probes.peers import Peer

# Four processes with fifteen connections each are the most that a peer has.
OPTIONS = {"max_connections": "300", "timezone": "UTC"}


class Database(Protocol):
    """What the probes ask of a database."""

    def present(self, texts: Collection[str]) -> list[str]:
        """Return these texts as often as rows of the resource hold them."""

    def locked(self) -> AbstractContextManager[None]:
        """Let nobody read the table of `page`, as a query that takes its time does."""

    def waiting(self) -> int:
        """Return how many sessions of the service wait for that."""

    def paused(self) -> AbstractContextManager[None]:
        """Let connections stay open, and respond to nothing."""

    def restart(self) -> None:
        """Send all clients away, and accept them again."""

    def terminate_sessions(self) -> None:
        """End the sessions of the service."""


class PostgresDatabase:
    """One database of a server that the probes may stop."""

    def __init__(self, postgres: PostgresProcess, name: str, peer: Peer) -> None:
        self._postgres = postgres
        self._name = name
        self._peer = peer

    def present(self, texts: Collection[str]) -> list[str]:
        table, column = sql.Identifier(self._peer.table), sql.Identifier(self._peer.column)
        statement = sql.SQL("SELECT {0} FROM {1} WHERE {0} = ANY(%s)").format(column, table)
        with self._postgres.connect(self._name) as connection:
            return [row[0] for row in connection.execute(statement, [list(texts)])]

    @contextmanager
    def locked(self) -> Iterator[None]:
        table = sql.Identifier(self._peer.page_table)
        with self._postgres.connect(self._name) as connection, connection.transaction():
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            yield

    def waiting(self) -> int:
        return len(self._postgres.sessions("wait_event_type = 'Lock'"))

    def paused(self) -> AbstractContextManager[None]:
        return self._postgres.paused()

    def restart(self) -> None:
        self._postgres.stop()
        self._postgres.start(**OPTIONS)

    def terminate_sessions(self) -> None:
        self._postgres.terminate_sessions()
