"""A quiet end: on SIGTERM the readiness check fails at once, and the server stops a little later.

In between, load balancers notice and send new requests elsewhere; requests in flight are the
server's own to finish (`--timeout-graceful-shutdown`).
"""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class Draining:
    """Whether the process has been told to stop."""

    def __init__(self, delay: float) -> None:
        self.started = False
        self._delay = delay

    @contextmanager
    def on_sigterm(self) -> Generator[None]:
        """Pass SIGTERM on to the server's own handler, but only after the delay.

        Entered by the lifespan: the server has set its handler by then. A second SIGTERM ends the
        delay.
        """
        previous = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(previous):
            yield  # a server that does not handle signals in Python, or a test
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
