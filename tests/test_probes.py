"""That each probe tells a sound service from a broken one. Both are a hundred lines, and lose no database."""

import asyncio
import json
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from http_responses import Response
from probes import database_faults, pressure
from probes.asking import Request, calling
from probes.database_faults import kept_promises
from probes.finding import NOT_THERE, Finding
from probes.launches import Launch
from probes.peers import PEERS, Account, Peer
from probes.peers import TEMPLATE as TEMPLATE_PEER
from probes.pressure import all_served
from probes.service import Service
from probes.table import PROBES, table

TINY = Peer(
    name="tiny",
    sign_up=lambda name: Request("POST", "/users", {"name": name}),
    sign_in=lambda name: Request("POST", "/token", {"name": name}),
    me=lambda _: Request("GET", "/me"),
    create=lambda _, text: Request("POST", "/rows", {"text": text}),
    page=lambda _: Request("GET", "/rows"),
    table="rows",
    column="text",
    page_table="rows",
    trivial=Request("GET", "/health"),
    read=lambda _, row: Request("GET", f"/rows/{row}"),
    update=lambda _, row, text: Request("PATCH", f"/rows/{row}", {"text": text}),
)

Reply = tuple[int, Any, dict[str, str]]


class Tiny:
    """A service in memory, which is its own database. Sound, or broken in the way each probe asks about."""

    def __init__(self, *, sound: bool) -> None:
        self.sound = sound
        self.users: set[str] = set()
        self.rows: list[str] = []
        self.versions: dict[int, int] = {}
        self.keys: dict[str, Reply] = {}
        self.dead_connections = 0
        self.ended = False
        self.responding = threading.Event()
        self.responding.set()
        self.one = threading.Lock()

    def reply(self, method: str, path: str, body: Any, headers: Any) -> Reply:
        match method, path.split("/")[1:]:
            case "GET", ["health"]:
                if not self.sound:  # waits in the same line as everybody
                    self.responding.wait(0.3)
                reply: Reply = 200, {}, {}
            case "GET", ["rows"]:
                reply = self.page()
            case "POST", ["users"]:
                reply = self.sign_up(body["name"])
            case "POST", ["rows"]:
                reply = self.create(body["text"], headers.get("Idempotency-Key"))
            case "GET", ["rows", row]:
                reply = self.read(int(row))
            case _, [_, row]:
                reply = self.update(int(row), headers.get("If-Match"))
            case _:
                reply = 404, {}, {}
        return reply

    def page(self) -> Reply:
        if not self.responding.wait(0.2 if self.sound else 2):
            return 503, {}, {}
        with self.one:
            dead, self.dead_connections = self.dead_connections, max(self.dead_connections - 1, 0)
        return (500, {}, {}) if dead else (200, [], {})

    def sign_up(self, name: str) -> Reply:
        taken = name in self.users
        time.sleep(0.01)  # the others come meanwhile
        with self.one:
            if taken or (self.sound and name in self.users):
                return 409, {}, {}
            if name in self.users:
                return 500, {}, {}
            self.users.add(name)
        return 201, {}, {}

    def create(self, text: str, key: str | None) -> Reply:
        if "\0" in text or "\ud800" in text:
            return (422 if self.sound else 500), {}, {}
        with self.one:
            if self.sound and key in self.keys:
                return self.keys[key]
            if self.ended:  # the session
                self.ended = False
                return (503 if self.sound else 201), {}, {}
            self.rows.append(text)
            reply: Reply = 201, {"id": len(self.rows)}, {}
            self.versions[len(self.rows)] = 1
            self.keys[key or text] = reply
        return reply

    def read(self, row: int) -> Reply:
        if row not in self.versions:
            return (404 if self.sound or row < 2**63 else 500), {}, {}
        return 200, {}, {"ETag": f'"{self.versions[row]}"'} if self.sound else {}

    def update(self, row: int, seen: str | None) -> Reply:
        if seen and seen != f'"{self.versions[row]}"':
            return 412, {}, {}
        self.versions[row] += 1
        return 200, {}, {}

    # As a database.

    def present(self, texts: Collection[str]) -> list[str]:
        return [row for row in self.rows if row in texts]

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.responding.clear()
        yield
        self.responding.set()

    paused = locked

    def waiting(self) -> int:
        return 0

    def restart(self) -> None:
        self.dead_connections = 0 if self.sound else 10_000

    def terminate_sessions(self) -> None:
        self.ended = True


class TinyServer:
    """Serves it on a port of this machine."""

    def __init__(self, tiny: Tiny) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline()
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = json.loads(content) if content else None
                status, said, headers = tiny.reply(self.command, self.path, body, self.headers)
                response = json.dumps(said).encode()
                self.send_response_only(status)
                for name, value in (headers | {"Content-Length": str(len(response))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response)

        class Server(ThreadingHTTPServer):
            request_queue_size = 256

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing: probes give up on responses that are late."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def terminate(self) -> None:
        self.server.shutdown()

    def stop(self) -> float:
        self.server.shutdown()
        self.server.server_close()
        return 0.0


@pytest.mark.parametrize("sound", [True, False], ids=["sound", "broken"])
@pytest.mark.parametrize("name", [name for name in PROBES if name != "SIGTERM under load"])
def test_probe_tells_a_sound_service_from_a_broken_one(
    monkeypatch: pytest.MonkeyPatch, name: str, sound: bool
) -> None:
    monkeypatch.setattr(database_faults, "PATIENCE", 0.5)
    monkeypatch.setattr(database_faults, "AFTER_RESTART", 0.1)
    monkeypatch.setattr(pressure, "READS", 20)
    monkeypatch.setattr(pressure, "PROMPT", 0.2)
    tiny = Tiny(sound=sound)
    server = TinyServer(tiny)

    async def ask() -> Finding:
        async with calling(server.url) as caller:
            return await PROBES[name](Service(TINY, server, tiny, Account("ann")), caller)

    try:
        assert asyncio.run(ask()).holds is sound
    finally:
        server.stop()


def responses(*statuses: int) -> list[Response]:
    return [Response(status, 0.1, lack="" if status else "cut") for status in statuses]


@pytest.mark.parametrize(
    ("waiting", "asked", "holds"),
    [((200, 503), (200,), True), ((200, 0), (200,), False), ((200,), (200, 0), False)],
)
def test_a_response_that_sigterm_cuts_is_a_fault(
    waiting: tuple[int, ...], asked: tuple[int, ...], holds: bool
) -> None:
    assert all_served(responses(*waiting), responses(*asked), 1.0).holds is holds


def test_only_a_row_that_was_promised_is_missed() -> None:
    done, failed = responses(201, 503)
    assert kept_promises({"a": done, "b": failed}, ["a", "b"]) == Finding(
        holds=True, seen="0 of 1 2xx without their row, 1 of 1 others with one"
    )
    assert kept_promises({"a": done, "b": failed}, ["b"]).holds is False


def test_what_a_service_does_not_have_is_no_failure() -> None:
    findings = [Finding(holds=True, seen="1x 201"), Finding(holds=False, seen="50x 500"), NOT_THERE]
    assert table(["a", "b", "c"], {"x": findings}).splitlines()[-1] == (
        "| x | **yes**: 1x 201 | **no**: 50x 500 | n/a |"
    )


def test_launch_is_read_from_beside_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "launch.json"
    file.write_text('{"version": "1", "folder": "peer", "start": ["serve", "{port}"]}')
    assert Launch.read(file) == Launch("1", tmp_path / "peer", ["serve", "{port}"])


@pytest.mark.parametrize("peer", [TEMPLATE_PEER, *PEERS.values()], ids=lambda peer: peer.name)
def test_requests_of_every_service_are_on_its_own_paths(peer: Peer) -> None:
    account = Account("ann", "1", "token")
    for request in (peer.sign_up("ann"), peer.create(account, "text"), peer.page(account)):
        assert request.path.startswith("/")
    assert peer.create(account, "text").headers == {"Authorization": "Bearer token"}
