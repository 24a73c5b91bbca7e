"""Tuning of Python's cyclic garbage collector."""

import gc


def collect_garbage_rarely() -> None:
    """Exclude all existing objects from garbage collection, and collect the others rarely.

    The application's objects live as long as the process, and a request creates hardly any
    cycles. With Python's defaults the collector takes a noticeable share of each request's time
    (see docs/decisions/0006).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
