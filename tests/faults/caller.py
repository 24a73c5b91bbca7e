"""A client that keeps every response it got, and what a response may be while things fail."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any
from uuid import uuid4

import httpx
from http_responses import Response, clients_of, response_to

DEADLINE = 5.0  # the service's default
# Beyond the deadline: two busy cores, on which client, service and server take turns. Where other
# tests run beside, the clock says little.
MARGIN = 10.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
BROKEN = 0  # the status of a request whose connection broke


def fault_of(response: Response, allowed: Collection[int]) -> str | None:
    """Say what is wrong with a response, if anything is."""
    if response.seconds > DEADLINE + MARGIN:
        return f"{response.status} took {response.seconds:.1f} s"
    if response.status not in allowed:
        return f"{response.status} is not one of {sorted(allowed)}: {response.content[:300]!r}"
    if response.status == httpx.codes.SERVICE_UNAVAILABLE:
        problem = response.headers.get("content-type") == "application/problem+json"
        if not problem or int(response.headers.get("retry-after", 0)) < 1:
            return f"503 without what belongs to it: {response.headers} {response.content[:300]!r}"
    return None


class Caller:
    """Sends requests and keeps the responses."""

    def __init__(self, clients: list[httpx.AsyncClient]) -> None:
        self.responses: list[Response] = []
        self.secret: dict[str, str] = {}  # what a new user's body holds where there is auth
        self._all_clients = clients
        self._clients = cycle(clients)

    def sign_in(self, token: str) -> None:
        for client in self._all_clients:
            client.headers["Authorization"] = f"Bearer {token}"

    async def send(self, method: str, path: str, **options: Any) -> Response:
        response = await response_to(next(self._clients), method, path, **options)
        self.responses.append(response)
        return response

    async def get(self, path: str) -> Response:
        return await self.send("GET", path)

    async def post(self, path: str, body: Any, key: str | None = None) -> Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.send("POST", path, json=body, headers=headers)

    async def patch(self, path: str, body: Any) -> Response:
        return await self.send("PATCH", path, json=body)

    def by_status(self) -> dict[int, int]:
        return dict(sorted(Counter(response.status for response in self.responses).items()))

    def longest(self) -> float:
        return max(response.seconds for response in self.responses)

    def check(self, *allowed: int) -> None:
        """Fail unless each response so far is one of those allowed, complete and in time."""
        faults = [fault for response in self.responses if (fault := fault_of(response, allowed))]
        assert not faults, f"{len(faults)} of {len(self.responses)} responses: {faults[:10]}"


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """Open clients with far more patience than the deadline."""
    async with clients_of(url, timeout=30, verify=False) as clients:
        yield Caller(clients)


async def create_author(caller: Caller, email: str | None = None) -> int:
    body = {"email": email or f"{uuid4().hex}@example.com", "display_name": "Author"}
    response = await caller.post("/users", body | caller.secret)
    assert response.status == 201, response
    author_id: int = response.json()["id"]
    return author_id


async def sign_up(caller: Caller) -> int:
    """Register an author, and send every further request as that author."""
    email, caller.secret = f"{uuid4().hex}@example.com", {"password": "correct horse battery"}
    author_id = await create_author(caller, email)
    form = {"grant_type": "password", "username": email} | caller.secret
    response = await caller.send("POST", "/auth/token", data=form)
    caller.sign_in(response.json()["access_token"])
    return author_id
