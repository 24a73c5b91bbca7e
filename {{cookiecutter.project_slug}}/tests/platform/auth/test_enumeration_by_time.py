"""The time of a response does not reveal whether an account exists.

Requests about a known and an unknown account are sent in turns, 200 in all. The test measures the
CPU time of all threads of the process until the response starts, on which other processes have no
influence. A difference fails the test if it is significant, and large enough to be seen by a client
without any network noise.
"""

import random
import time
from collections.abc import Callable
from itertools import cycle
from statistics import median
from typing import Any, Final

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import Message, Receive, Scope, Send

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.security import passwords
from app.core.security.passwords import Verification, hash_password
from app.main import create_app
from tests.auth.accounts import PASSWORD, bearer, new_user
from tests.factories import Factory

pytestmark = pytest.mark.long

TRIES: Final = 200
VISIBLE: Final = 0.1  # part of the time of a response, most of which is hashing in production
CHANCE: Final = 0.001
HASH_KIB: Final = 2048

NO_LIMITS: Final = {
    "password_tries_per_account": 10**6,
    "password_tries_per_address": 10**6,
    "mails_per_account": 10**6,
    "mails_per_address": 10**6,
}


class Stopwatch:
    """ASGI middleware: records the CPU time of each request until its response starts."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.seconds = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.process_time()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.seconds = time.process_time() - began
            await send(message)

        await self._app(scope, receive, timed)


async def measure(
    settings: Settings,
    database: Database,
    request: Callable[[str], dict[str, Any]],
    path: str,
    tries: int = TRIES,
    hash_kib: int = HASH_KIB,
) -> tuple[list[float], list[float]]:
    """Return the times of responses about known and about unknown accounts."""
    changes = {
        "require_verified_email": True,
        "mail_delivery": "smtp",
        # A hash that takes a noticeable part of the time.
        "argon2_memory_kib": hash_kib,
    }
    app = create_app(settings.model_copy(update=changes | NO_LIMITS))
    app.state.database = database
    stopwatch = Stopwatch(app)
    transport = httpx.ASGITransport(stopwatch)
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for number in range(-5, tries // 2):
            for kind in random.sample(["known", "unknown"], 2):
                # A new unknown account each time, because registration makes it known.
                email = "ann@example.com" if kind == "known" else f"n{number}@example.com"
                response = await client.request(url=path, **{"method": "POST"} | request(email))
                assert response.status_code in {200, 202, 401}
                if number >= 0:  # the first ones warm up
                    times[kind].append(stopwatch.seconds)
    return times["known"], times["unknown"]


def differ(first: list[float], second: list[float]) -> bool:
    """Return whether two samples differ visibly and significantly (permutation test)."""
    difference = abs(median(first) - median(second))
    if difference < VISIBLE * median(first + second):
        return False
    together, rounds = first + second, 2000
    by_chance = 0
    for _ in range(rounds):
        random.shuffle(together)
        half = len(first)
        by_chance += abs(median(together[:half]) - median(together[half:])) >= difference
    return by_chance / rounds < CHANCE


def form(email: str) -> dict[str, Any]:
    return {"data": {"username": email, "password": "wrong password"}}


REQUESTS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "/auth/token": form,
    "/users": lambda email: {"json": new_user(email=email)},
    "/auth/password-reset": lambda email: {"json": {"email": email}},
}


async def make_ann(make_live: Factory, settings: Settings, hash_kib: int) -> None:
    """Create the known account, with the hash parameters of the settings."""
    chosen = settings.model_copy(update={"argon2_memory_kib": hash_kib})
    hashed_password = await hash_password(SecretStr(PASSWORD), chosen)
    await make_live.user(
        email="ann@example.com", hashed_password=hashed_password, is_email_verified=True
    )


@pytest.mark.parametrize("path", REQUESTS)
async def test_known_and_unknown_accounts_take_the_same_time(
    settings: Settings, live_database: Database, make_live: Factory, path: str
) -> None:
    await make_ann(make_live, settings, HASH_KIB)
    known, unknown = await measure(settings, live_database, REQUESTS[path], path)

    print(f"{path}: known {median(known) * 1e3:.2f} ms, unknown {median(unknown) * 1e3:.2f} ms")  # noqa: T201
    assert len(known) + len(unknown) == TRIES
    assert not differ(known, unknown)


async def test_taken_and_free_addresses_take_the_same_time(
    settings: Settings, live_database: Database, make_live: Factory
) -> None:
    await make_ann(make_live, settings, HASH_KIB)
    chosen = settings.model_copy(update={"argon2_memory_kib": HASH_KIB})
    eve = await make_live.user(hashed_password=await hash_password(SecretStr(PASSWORD), chosen))
    headers = await bearer(make_live, eve, settings)
    spell = cycle((str.upper, str.lower))  # else the same address twice would be no change

    def change(email: str) -> dict[str, Any]:
        body = {"email": next(spell)(email), "current_password": PASSWORD}
        return {"method": "PATCH", "json": body, "headers": headers}

    taken, free = await measure(settings, live_database, change, "/users/me")

    print(f"taken {median(taken) * 1e3:.2f} ms, free {median(free) * 1e3:.2f} ms")  # noqa: T201
    assert not differ(taken, free)


async def test_login_that_skips_the_dummy_hash_would_be_found(
    settings: Settings,
    live_database: Database,
    make_live: Factory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await make_ann(make_live, settings, 8 * HASH_KIB)

    async def hasty(
        password: SecretStr, hashed_password: str | None, chosen: Settings
    ) -> Verification:
        if hashed_password is None:
            return Verification(matches=False)
        return await passwords.verify_password(password, hashed_password, chosen)

    monkeypatch.setattr("app.services.auth.sign_in_service.verify_password", hasty)

    # A hash of a quarter of the real cost still takes most of the time, so fewer requests suffice.
    times = await measure(settings, live_database, form, "/auth/token", 60, 8 * HASH_KIB)
    assert differ(*times)
