"""Graceful shutdown: on SIGTERM the readiness check fails at once, and the server stops later.

In between, load balancers send new requests elsewhere. The server itself finishes the requests in
flight (`--timeout-graceful-shutdown`).
"""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

# The kind of the readiness check's error meanwhile.
DRAINING: Final = "draining"


class Draining:
    """Whether the process is about to stop, and for how many seconds it keeps serving."""

    def __init__(self, delay: float) -> None:
        self.started = False
        self._delay = delay

    @contextmanager
    def on_sigterm(self) -> Generator[None]:
        """Delay the server's own SIGTERM handler. A second SIGTERM skips the delay.

        Enter it in the lifespan, when the server has installed its handler.
        """
        previous = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(previous):
            yield  # in a test, or under a server without a Python handler
            return
        loop = asyncio.get_running_loop()

        def drain(number: int, _frame: FrameType | None) -> None:
            delay = 0 if self.started else self._delay
            self.started = True
            loop.call_soon_threadsafe(loop.call_later, delay, previous, number, None)

        signal.signal(signal.SIGTERM, drain)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)
