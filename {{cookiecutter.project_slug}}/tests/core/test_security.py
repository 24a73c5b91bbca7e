import asyncio
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from app.core import security
from app.core.config import Settings
from app.core.security import (
    create_access_token,
    hash_password,
    read_access_token,
    verify_password,
)
from app.exceptions import AuthenticationError

PASSWORD = SecretStr("correct horse battery")


async def test_password_is_kept_as_an_argon2id_hash_with_a_salt() -> None:
    first, second = await hash_password(PASSWORD), await hash_password(PASSWORD)

    assert first.startswith("$argon2id$")
    assert first != second
    assert await verify_password(PASSWORD, first)
    assert not await verify_password(SecretStr("correct horse batterx"), first)


async def test_no_hash_fits_no_password() -> None:
    assert not await verify_password(PASSWORD, None)


async def test_passwords_are_hashed_and_verified_beside_the_event_loop_and_no_more_at_once_than_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: set[int] = set()
    running = 0
    most = 0

    def slow_hash(_password: str) -> str:
        nonlocal running, most
        threads.add(threading.get_ident())
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return "hash"

    def slow_verify(_password: str, _hashed_password: str) -> bool:
        return bool(slow_hash(_password))

    monkeypatch.setattr(security._password_hash, "hash", slow_hash)
    monkeypatch.setattr(security._password_hash, "verify", slow_verify)
    await asyncio.gather(
        *(hash_password(PASSWORD) for _ in range(16)),
        *(verify_password(PASSWORD, "hash") for _ in range(16)),
    )

    assert threading.get_ident() not in threads
    assert most <= (os.cpu_count() or 1)


def test_token_names_the_user_and_expires_soon(settings: Settings) -> None:
    settings = settings.model_copy(update={"access_token_minutes": 7})
    token = create_access_token(7, settings)
    claims = jwt.decode(token, options={"verify_signature": False})

    assert read_access_token(token, settings) == 7
    assert claims["exp"] - claims["iat"] == 7 * 60


def forge(
    settings: Settings, key: str | None = None, algorithm: str = "HS256", **claims: Any
) -> str:
    """Sign a token whose claims differ from those of a good one; None leaves a claim out."""
    now = datetime.now(UTC)
    good = {"sub": "7", "iat": now, "exp": now + timedelta(minutes=5)}
    chosen = {name: value for name, value in (good | claims).items() if value is not None}
    key = settings.secret_key.get_secret_value() if key is None else key
    return jwt.encode(chosen, key, algorithm=algorithm)


def test_forged_token_is_good_when_nothing_differs(settings: Settings) -> None:
    assert read_access_token(forge(settings), settings) == 7


@pytest.mark.parametrize(
    "differing",
    [
        {"key": "another-key-0123456789abcdefghijklmnopqrst"},
        {"key": "", "algorithm": "none"},
        {"algorithm": "HS512"},
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"exp": None},
        {"iat": None},
        {"iat": datetime(2100, 1, 1, tzinfo=UTC)},
        {"sub": None},
        {"sub": 7},
    ],
    ids=str,
)
def test_other_tokens_are_refused(settings: Settings, differing: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError):
        read_access_token(forge(settings, **differing), settings)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\u00e4.b.c"])
def test_text_that_is_no_token_is_refused(settings: Settings, token: str) -> None:
    with pytest.raises(AuthenticationError):
        read_access_token(token, settings)
