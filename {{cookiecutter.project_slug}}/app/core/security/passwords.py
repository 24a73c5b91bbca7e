"""Password hashing with argon2id, in threads of lower priority than the event loop."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Final, NamedTuple, TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from app.core.database.budget import require_no_connection
from app.core.security.policy import normalize
from app.core.security.settings import PasswordSettings
from app.exceptions import UnavailableError

ResultT = TypeVar("ResultT")


class Verification(NamedTuple):
    """Whether a password matches, and a new hash if the stored one has outdated parameters."""

    matches: bool
    new_hash: str | None = None


# Leaves the event loop most of a core that both compete for. At equal priority, many sign-ins at
# once slow down all other requests (see docs/decisions/0005).
_NICENESS: Final = 12


def cores() -> int:
    """Return the number of cores that this process may use, which a container may limit."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def hashes_at_once(settings: PasswordSettings) -> int:
    """Return how many hashes this process computes at the same time.

    One for each core, but no more than PASSWORD_THREADS, which bounds the memory: a pod sees all cores
    of its node.
    """
    return min(cores(), settings.password_threads)


@cache
def _hashing_threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="hashing", initializer=_lower_priority)


def _lower_priority() -> None:
    """Lower the priority of this thread and its children. Only Linux has thread priorities."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, 19))


# The hashes of this process that wait or run, and places that are kept for some.
_pending: Final[set[object]] = set()
_place: Final[ContextVar[object]] = ContextVar("place", default=None)


@contextmanager
def place_for_hash(settings: PasswordSettings) -> Generator[None]:
    """Reserve a place in the queue for the hash that is computed within the block.

    Raises `UnavailableError` if as many hashes are waiting as the settings allow. Enter it before an
    attempt is counted, so that a request that a full queue refuses is not counted.
    """
    _require_capacity(settings)
    place = object()
    _pending.add(place)
    previous = _place.set(place)
    try:
        yield
    finally:
        _place.reset(previous)
        _pending.discard(place)


def _require_capacity(settings: PasswordSettings) -> None:
    if len(_pending) >= hashes_at_once(settings) * (1 + settings.password_queue_per_core):
        raise UnavailableError(
            "Too many passwords are being checked; try again in a moment", kind="password_queue"
        )


async def _run_in_hashing_thread(
    work: Callable[[], ResultT], settings: PasswordSettings
) -> ResultT:
    require_no_connection("while a password is hashed")
    if (place := _place.get()) in _pending:
        _pending.discard(place)  # the hash takes it
    else:
        _require_capacity(settings)
    hashing = _hashing_threads(hashes_at_once(settings)).submit(work)
    _pending.add(hashing)
    hashing.add_done_callback(_pending.discard)
    # If the request is cancelled, so is a hash that waits. One that runs stays pending.
    return await asyncio.wrap_future(hashing)


@cache
def _hasher(time_cost: int, memory_kib: int, parallelism: int) -> PasswordHash:
    return PasswordHash((Argon2Hasher(time_cost, memory_kib, parallelism),))


@cache
def _dummy_hash(hasher: PasswordHash) -> str:
    """Return the hash of a random password, with the parameters of real ones."""
    return hasher.hash(os.urandom(16))


def _hasher_of(settings: PasswordSettings) -> PasswordHash:
    return _hasher(
        settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism
    )


async def hash_password(password: SecretStr, settings: PasswordSettings) -> str:
    """Hash a password with argon2id, off the event loop.

    Raises `UnavailableError` if too many hashes are waiting, and so does `verify_password`.
    """
    hasher = _hasher_of(settings)
    return await _run_in_hashing_thread(lambda: hasher.hash(normalize(password)), settings)


async def verify_password(
    password: SecretStr, hashed_password: str | None, settings: PasswordSettings
) -> Verification:
    """Return whether a password matches a hash, off the event loop.

    Without a hash it does not match, after the same amount of work, so that the time does not
    reveal whether there is an account.
    """
    hasher = _hasher_of(settings)

    def verify() -> Verification:
        dummy = _dummy_hash(hasher)  # created on the first call, with or without a hash
        matches, new_hash = hasher.verify_and_update(normalize(password), hashed_password or dummy)
        return Verification(matches, new_hash) if hashed_password else Verification(matches=False)

    return await _run_in_hashing_thread(verify, settings)
