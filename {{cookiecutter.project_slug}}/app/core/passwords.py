"""Password hashing: argon2id, off the event loop, no more at once than there are cores."""

import os
from functools import cache
from typing import NamedTuple

from anyio import CapacityLimiter, to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from app.core.config import DatabaseSettings
from app.core.password_rules import normalized


class Verified(NamedTuple):
    """Whether a password fits, and its hash by the present parameters if the stored one is older."""

    fits: bool
    new_hash: str | None = None


@cache
def _hashing() -> CapacityLimiter:
    """A hash takes a core for tens of milliseconds and 64 MiB: no more at once than cores."""
    return CapacityLimiter(os.cpu_count() or 1)


@cache
def _hasher(time_cost: int, memory_kib: int, parallelism: int) -> PasswordHash:
    return PasswordHash((Argon2Hasher(time_cost, memory_kib, parallelism),))


@cache
def _dummy_hash(hasher: PasswordHash) -> str:
    """The hash of no password, made with the parameters of the real ones."""
    return hasher.hash(os.urandom(16))


def _hasher_of(settings: DatabaseSettings) -> PasswordHash:
    return _hasher(
        settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism
    )


async def hash_password(password: SecretStr, settings: DatabaseSettings) -> str:
    """Hash a password with argon2id, off the event loop."""
    hasher = _hasher_of(settings)
    return await to_thread.run_sync(hasher.hash, normalized(password), limiter=_hashing())


async def verify_password(
    password: SecretStr, hashed_password: str | None, settings: DatabaseSettings
) -> Verified:
    """Say whether a password fits a hash, off the event loop.

    Without a hash the answer is no, after the same work, so that the time does not tell.
    """
    hasher = _hasher_of(settings)

    def verify() -> Verified:
        dummy = _dummy_hash(hasher)  # made on first use, whoever the first caller is
        fits, new_hash = hasher.verify_and_update(normalized(password), hashed_password or dummy)
        return Verified(fits, new_hash) if hashed_password else Verified(fits=False)

    return await to_thread.run_sync(verify, limiter=_hashing())
