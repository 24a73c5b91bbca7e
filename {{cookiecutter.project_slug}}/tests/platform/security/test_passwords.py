import asyncio
import os
import re
import sys
import threading
import time

import pytest
import yaml
from argon2 import extract_parameters
from pwdlib import PasswordHash
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.budget import Budget, SecondConnectionError, budgeted
from app.core.database.sessions import Database
from app.core.env_file import PROJECT
from app.core.security import passwords
from app.core.security.passwords import cores, hash_password, hashes_at_once, verify_password
from app.exceptions import UnavailableError
from tests.platform.log_lines import own_records

PASSWORD = SecretStr("correct horse battery")


async def test_password_is_kept_as_an_argon2id_hash_with_a_salt(settings: Settings) -> None:
    first = await hash_password(PASSWORD, settings)
    second = await hash_password(PASSWORD, settings)

    assert first.startswith("$argon2id$")
    assert first != second
    assert (await verify_password(PASSWORD, first, settings)).matches
    other = SecretStr("correct horse batterx")
    assert not (await verify_password(other, first, settings)).matches


async def test_parameters_are_those_of_rfc_9106_unless_the_settings_say_otherwise(
    settings: Settings,
) -> None:
    defaults = {
        name: field.default
        for name, field in Settings.model_fields.items()
        if name.startswith("argon2_")
    }
    hashed = await hash_password(PASSWORD, settings.model_copy(update=defaults))
    parameters = extract_parameters(hashed)

    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (3, 2**16, 4)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)


async def test_hash_by_other_parameters_fits_and_is_replaced(settings: Settings) -> None:
    old = await hash_password(PASSWORD, settings)
    stronger = settings.model_copy(update={"argon2_time_cost": 2})

    fits, new = await verify_password(PASSWORD, old, stronger)

    assert fits
    assert new is not None
    assert "t=2" in new
    assert (await verify_password(PASSWORD, new, stronger)) == (True, None)
    assert (await verify_password(SecretStr("wrong password"), old, stronger)) == (False, None)


async def test_no_hash_fits_no_password(settings: Settings) -> None:
    assert await verify_password(PASSWORD, None, settings) == (False, None)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("pa\u0308sswo\u0308rter", "p\u00e4ssw\u00f6rter"),  # as macOS and as Windows types it
        ("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff54", "passwort"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af" * 4, "\ud55c\uae00" * 4),
    ],
)
async def test_same_text_is_the_same_password_however_it_is_encoded(
    settings: Settings, typed: str, stored: str
) -> None:
    hashed = await hash_password(SecretStr(stored), settings)

    assert (await verify_password(SecretStr(typed), hashed, settings)).matches


async def test_passwords_are_hashed_and_verified_beside_the_event_loop_and_no_more_at_once_than_cores(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    priorities: set[int] = set()
    running = 0
    most = 0

    def slow(*_: object) -> tuple[bool, None]:
        nonlocal running, most
        threads.add(threading.get_ident())
        if sys.platform == "linux":
            priorities.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return True, None

    monkeypatch.setattr(PasswordHash, "hash", slow)
    monkeypatch.setattr(PasswordHash, "verify_and_update", slow)
    settings = settings.model_copy(update={"password_queue_per_core": 32})
    await asyncio.gather(
        *(hash_password(PASSWORD, settings) for _ in range(16)),
        *(verify_password(PASSWORD, "hash", settings) for _ in range(16)),
    )

    assert threading.get_ident() not in threads
    assert most <= hashes_at_once(settings)
    if sys.platform == "linux":
        priority = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        assert min(priorities) > priority or priority == 19  # the lowest


@pytest.fixture
def go_on() -> threading.Event:
    """Lets the hashes of `started` end."""
    return threading.Event()


@pytest.fixture
def started(go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords whose hashing has begun. It does not end before `go_on` is set."""
    begun: list[str] = []

    def slow(_: PasswordHash, password: str) -> str:
        begun.append(password)
        go_on.wait(30)
        return "hash"

    monkeypatch.setattr(PasswordHash, "hash", slow)
    return begun


async def test_queue_of_passwords_is_bounded_and_drops_those_of_clients_that_left(
    settings: Settings, started: list[str], go_on: threading.Event
) -> None:
    settings = settings.model_copy(update={"password_queue_per_core": 2})
    hashing = [
        asyncio.create_task(hash_password(SecretStr(f"secret word {n}"), settings))
        for n in range(3 * hashes_at_once(settings))
    ]
    await asyncio.sleep(0)
    try:
        with pytest.raises(UnavailableError, match="Too many passwords are being checked"):
            await hash_password(PASSWORD, settings)
        hashing.pop().cancel()
        await asyncio.sleep(0)
        hashing.append(asyncio.create_task(hash_password(PASSWORD, settings)))
        await asyncio.sleep(0)
    finally:
        go_on.set()

    assert await asyncio.gather(*hashing) == ["hash"] * len(hashing)
    assert f"secret word {len(hashing) - 1}" not in started
    assert await hash_password(PASSWORD, settings) == "hash"


async def test_setting_bounds_the_hashes_where_many_cores_can_be_seen(
    settings: Settings,
    started: list[str],
    go_on: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pod sees those of its node. Twelve hashes at once would take more memory than it has."""
    monkeypatch.setattr(passwords, "cores", lambda: 12)
    settings = settings.model_copy(update={"password_threads": 3, "password_queue_per_core": 1})
    hashing = [asyncio.create_task(hash_password(PASSWORD, settings)) for _ in range(6)]
    try:
        while len(started) < 3:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(started) == 3
        with pytest.raises(UnavailableError):
            await hash_password(PASSWORD, settings)
    finally:
        go_on.set()

    assert await asyncio.gather(*hashing) == ["hash"] * 6


def test_setting_never_asks_for_more_threads_than_cores(settings: Settings) -> None:
    many = settings.model_copy(update={"password_threads": 1000})

    assert hashes_at_once(many) == cores()


@pytest.mark.parametrize("processes", [1, 2])
def test_hashes_fit_into_the_memory_of_a_container(processes: int) -> None:
    """By the arithmetic of docs/scaling.md: a process in a pod, and two in a container of Compose."""
    fields = Settings.model_fields
    hashes = fields["password_threads"].default * fields["argon2_memory_kib"].default / 2**10
    pod = yaml.safe_load(
        (PROJECT / "deploy/kubernetes/base/deployment.yaml").read_text(encoding="utf-8")
    )["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    compose = (PROJECT / "compose.yaml").read_text(encoding="utf-8")
    (gigabytes,) = re.findall(r"\$\{API_MEMORY:-(\d+)g\}", compose)
    limits = {1: int(pod.removesuffix("Mi")), 2: int(gigabytes) * 2**10}

    assert processes * (160 + hashes) <= limits[processes]


@pytest.mark.parametrize("reaction", ["raise", "log"])
async def test_password_is_not_hashed_while_a_connection_is_held(
    database: Database, settings: Settings, caplog: pytest.LogCaptureFixture, reaction: str
) -> None:
    """A hash waits for a core, and others would wait for the connection meanwhile."""
    budget = Budget(60, strict=reaction == "raise", shared=True)
    hashed = await hash_password(PASSWORD, settings)

    with budgeted(budget):
        assert await hash_password(PASSWORD, settings)  # before the first statement
        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))
            for hash_one in (
                lambda: hash_password(PASSWORD, settings),
                lambda: verify_password(PASSWORD, hashed, settings),
            ):
                if reaction == "raise":
                    with pytest.raises(SecondConnectionError, match="while a password is hashed"):
                        await hash_one()
                else:
                    assert await hash_one()
        assert await hash_password(PASSWORD, settings)  # after the block

    told = own_records(caplog.records)
    assert len(told) == (0 if reaction == "raise" else 2)
    assert all(__file__ in record.getMessage() for record in told)
