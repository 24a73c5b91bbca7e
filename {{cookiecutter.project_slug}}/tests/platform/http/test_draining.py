import asyncio
import os
import signal
import sys
from collections.abc import Generator

import pytest

from app.core.http.draining import Draining

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")


@pytest.fixture
def told() -> Generator[list[int]]:
    """Stand in for the server: the signals that its handler was told of."""
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: signals.append(number))
    yield signals
    signal.signal(signal.SIGTERM, before)


async def test_server_is_told_to_stop_only_after_the_delay(told: list[int]) -> None:
    draining = Draining(delay=0.1)

    with draining.on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert draining.started
        assert told == []
        await asyncio.sleep(0.2)

    assert told == [signal.SIGTERM]


async def test_second_signal_ends_the_delay(told: list[int]) -> None:
    with Draining(delay=60).on_sigterm():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    assert told == [signal.SIGTERM]


async def test_handler_of_the_server_is_put_back(told: list[int]) -> None:
    with Draining(delay=0).on_sigterm():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.01)

    assert told == [signal.SIGTERM]
