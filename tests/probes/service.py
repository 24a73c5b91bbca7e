"""A running service, and somebody who is signed in to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from benchmarks.bench import DATABASE_PASSWORD
from faults.postgres_process import PostgresProcess
from http_responses import Response

from probes.asking import Caller, Request
from probes.database import Database, PostgresDatabase
from probes.launches import Launch, Process
from probes.peers import Account, Peer


class Running(Protocol):
    """What a probe does with the process of a service."""

    @property
    def url(self) -> str: ...
    def terminate(self) -> None: ...
    def stop(self) -> float: ...


@dataclass
class Service:
    """A service that runs, its requests, and its database."""

    peer: Peer
    process: Running
    database: Database
    account: Account

    @property
    def url(self) -> str:
        return self.process.url

    @property
    def page(self) -> Request:
        return self.peer.page(self.account)

    def creating(self, text: str) -> Request:
        return self.peer.create(self.account, text)


@dataclass
class Target:
    """A service that can be started for one probe after the other."""

    peer: Peer
    launch: Launch
    process: Process
    database: Database
    account: Account | None = None

    @contextmanager
    def started(self, cores: list[int] | None = None) -> Iterator[None]:
        try:
            self.process.start(cores)
            yield
        finally:
            if self.process.is_running():
                self.process.stop()

    async def service(self, caller: Caller) -> Service:
        """Return the running service. Its user is signed up when it is asked for first."""
        self.account = self.account or await sign_up(caller, self.peer)
        return Service(self.peer, self.process, self.database, self.account)


@contextmanager
def target(peer: Peer, launch: Launch, postgres: PostgresProcess, folder: Path) -> Iterator[Target]:
    """Prepare a service on a database of its own."""
    name = f"probed_{uuid4().hex[:8]}"
    with postgres.database(name):
        places = {
            "database_port": str(postgres.port),
            "database": name,
            "user": "app",
            "password": DATABASE_PASSWORD,
        }
        process = Process(launch, places, folder / f"{peer.name.replace(' ', '-')}.log")
        with process.beside():
            process.prepare()
            yield Target(peer, launch, process, PostgresDatabase(postgres, name, peer))


def new_name() -> str:
    """Return a name that fits the narrowest limits of all services: 20 letters and digits."""
    return f"u{uuid4().hex[:15]}"


async def sign_up(caller: Caller, peer: Peer) -> Account:
    name = new_name()
    user = succeeded(await caller.ask(peer.sign_up(name)))
    token = succeeded(await caller.ask(peer.sign_in(name)))
    return Account(name, str(user.json()["id"]), token.json()["access_token"])


def succeeded(response: Response) -> Response:
    """Return the response; without a success nothing can be asked."""
    assert response.succeeded, f"{response.status} {response.lack} {response.content[:500]!r}"
    return response
