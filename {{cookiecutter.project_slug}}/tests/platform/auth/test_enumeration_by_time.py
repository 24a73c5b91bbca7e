"""Nobody learns from the time of an answer whether an account exists.

Requests about a known and an unknown account are sent in turns, 200 in all, and the work until
their answer begins is measured: the CPU time of all threads of the process, which other processes
do not change. A difference counts when it is both larger than chance explains and large enough to
be seen by somebody without the noise of a network.
"""

import random
import time
from collections.abc import Callable
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
from tests.auth.accounts import PASSWORD, Mailbox, new_user
from tests.factories import Factory

pytestmark = pytest.mark.long

TRIES: Final = 200
VISIBLE: Final = 0.1  # of the time of an answer, most of which is a hash in production
CHANCE: Final = 0.001
HASH_KIB: Final = 2048

NO_LIMITS: Final = {
    "password_tries_per_account": 10**6,
    "password_tries_per_address": 10**6,
    "mails_per_account": 10**6,
    "mails_per_address": 10**6,
}


class Stopwatch:
    """ASGI middleware: CPU time of each request until its answer begins, for which a client waits."""

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
    """Return the times of answers about accounts that are known, and about others."""
    changes = {
        "require_verified_email": True,
        # A hash that can be seen among the rest.
        "argon2_memory_kib": hash_kib,
    }
    app = create_app(settings.model_copy(update=changes | NO_LIMITS))
    app.state.database = database
    app.state.mailer = Mailbox()
    stopwatch = Stopwatch(app)
    transport = httpx.ASGITransport(stopwatch)
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for number in range(-5, tries // 2):
            for kind in random.sample(["known", "unknown"], 2):
                # Each unknown account is another one, for registration makes it known.
                email = "ann@example.com" if kind == "known" else f"n{number}@example.com"
                answer = await client.post(path, **request(email))
                assert answer.status_code in {202, 401}
                if number >= 0:  # the first ones warm up
                    times[kind].append(stopwatch.seconds)
    return times["known"], times["unknown"]


def differ(first: list[float], second: list[float]) -> bool:
    """Say whether two samples differ visibly, and more than chance explains (permutation test)."""
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
    """Make the known account, whose hash takes as long as one of the settings."""
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


async def test_login_that_does_not_hash_for_nobody_would_be_found(
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

    # A hash of a quarter of the real size, and so fewer tries: it does not hide among the rest.
    times = await measure(settings, live_database, form, "/auth/token", 60, 8 * HASH_KIB)
    assert differ(*times)
