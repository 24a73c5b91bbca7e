"""Password hashing: argon2id, beside the event loop and behind it in the queue for the cores."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, NamedTuple, TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from app.core.database.budget import require_no_connection
from app.core.security.policy import normalized
from app.core.security.settings import PasswordSettings

ResultT = TypeVar("ResultT")


class Verified(NamedTuple):
    """Whether a password fits, and its hash by the present parameters if the stored one is older."""

    fits: bool
    new_hash: str | None = None


# Of a core that both want, the event loop gets four fifths, and a hash with its four lanes the
# rest. Without it 32 who sign in at once made the slowest reads take 15 times as long (measured).
_NICENESS: Final = 12


def cores() -> int:
    """Return on how many cores this process may run: fewer than there are, in a container."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@cache
def _hashing() -> ThreadPoolExecutor:
    """A hash takes a core for tens of milliseconds and 64 MiB: no more at once than cores."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="hashing", initializer=_step_back)


def _step_back() -> None:
    """Let this thread, and those that it starts, yield to others. Linux has priorities of threads."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, 19))


async def _beside_the_loop(work: Callable[[], ResultT]) -> ResultT:
    require_no_connection("while a password is hashed")
    return await asyncio.get_running_loop().run_in_executor(_hashing(), work)


@cache
def _hasher(time_cost: int, memory_kib: int, parallelism: int) -> PasswordHash:
    return PasswordHash((Argon2Hasher(time_cost, memory_kib, parallelism),))


@cache
def _dummy_hash(hasher: PasswordHash) -> str:
    """The hash of no password, made with the parameters of the real ones."""
    return hasher.hash(os.urandom(16))


def _hasher_of(settings: PasswordSettings) -> PasswordHash:
    return _hasher(
        settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism
    )


async def hash_password(password: SecretStr, settings: PasswordSettings) -> str:
    """Hash a password with argon2id, off the event loop."""
    hasher = _hasher_of(settings)
    return await _beside_the_loop(lambda: hasher.hash(normalized(password)))


async def verify_password(
    password: SecretStr, hashed_password: str | None, settings: PasswordSettings
) -> Verified:
    """Say whether a password fits a hash, off the event loop.

    Without a hash the answer is no, after the same work, so that the time does not tell.
    """
    hasher = _hasher_of(settings)

    def verify() -> Verified:
        dummy = _dummy_hash(hasher)  # made on first use, whoever the first caller is
        fits, new_hash = hasher.verify_and_update(normalized(password), hashed_password or dummy)
        return Verified(fits, new_hash) if hashed_password else Verified(fits=False)

    return await _beside_the_loop(verify)
