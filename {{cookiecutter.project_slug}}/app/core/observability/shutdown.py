"""The time in which logs, traces and reports of errors are sent when the service stops."""

import time
from typing import Final

# Docker kills a container ten seconds after SIGTERM. Requests in flight have seven of them (Dockerfile).
SECONDS: Final = 2


class ShutdownDeadline:
    """One deadline for all that is sent at the end. The time starts with the first call."""

    def __init__(self) -> None:
        self._end: float | None = None

    def remaining(self) -> float:
        """Return the seconds that are left, for the last receiver."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + SECONDS
        return max(0.0, self._end - now)

    def share(self) -> float:
        """Return half of the seconds that are left, for one of several receivers.

        So one that hangs leaves time for the others.
        """
        return self.remaining() / 2
