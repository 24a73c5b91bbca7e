"""When Python looks for garbage that only its cycle collector finds."""

import gc


def collect_garbage_rarely() -> None:
    """Exclude what exists by now from garbage collection, and collect the rest seldom.

    What an application is made of lasts as long as the process, and a request leaves hardly a
    cycle behind. By default the collector would take a noticeable part of each request's time
    (0006 in docs/decisions has the figures).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
