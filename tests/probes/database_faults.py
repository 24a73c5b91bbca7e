"""Probes of a service whose database stops responding, restarts, or ends its sessions."""

import asyncio
import random
import time
from collections.abc import Sequence

from http_responses import Response

from probes.asking import Caller, tally
from probes.finding import Finding
from probes.service import Service, new_name

CLIENTS = 8
PATIENCE = 30.0  # seconds for a response while the database is silent
RECOVERY = 5.0  # seconds to serve again
AFTER_RESTART = 3.0  # seconds of load once the server accepts connections again
POSTS = 200


async def silent_database(service: Service, caller: Caller) -> Finding:
    """Stop the database: every response comes within 30 s, and service within 5 s of its return.

    Connections stay open, as when a host hangs or a firewall drops packets, so no error comes from below:
    only a limit of the service's own ends the wait.
    """
    await at_once(service, caller, CLIENTS)
    with service.database.paused():
        responses = await at_once(service, caller, CLIENTS, PATIENCE)
    again = await seconds_until_served(service, caller)
    longest = max(response.seconds for response in responses)
    seen = f"{tally(responses)}, the last after {longest:.1f} s; " + (
        "not served again" if again is None else f"served again after {again:.1f} s"
    )
    return Finding(all(response.status for response in responses) and again is not None, seen)


async def restart_under_load(service: Service, caller: Caller) -> Finding:
    """Restart the database under the load of 8 clients: no 5xx once it accepts connections again.

    Deployments and failovers do so. A pool that does not test its connections hands out dead ones.
    """
    await at_once(service, caller, CLIENTS)
    done = asyncio.Event()
    responses: list[tuple[float, Response]] = []

    async def client() -> None:
        while not done.is_set():
            started = time.monotonic()
            responses.append((started, await caller.ask(service.page)))

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    await asyncio.sleep(1)
    await asyncio.to_thread(service.database.restart)
    accepted = time.monotonic()
    await asyncio.sleep(AFTER_RESTART)
    done.set()
    await asyncio.gather(*clients)
    return no_failures([response for started, response in responses if started >= accepted])


async def restart_while_idle(service: Service, caller: Caller) -> Finding:
    """Restart the database while nobody asks: no 5xx among the next 40 requests, one by one."""
    await at_once(service, caller, 2 * CLIENTS)
    await asyncio.to_thread(service.database.restart)
    return no_failures([await caller.ask(service.page) for _ in range(40)])


async def sessions_terminated(service: Service, caller: Caller) -> Finding:
    """End sessions of the database during 200 creations: every row is there that a 2xx promised.

    A 2xx before the COMMIT is a promise that nobody keeps. The other way round, a 5xx whose row is there
    makes clients create it twice; it cannot be avoided, since the response to a COMMIT may be lost.
    """
    await at_once(service, caller, CLIENTS)
    texts = [new_name() for _ in range(POSTS)]
    outcomes: dict[str, Response] = {}

    async def client(number: int) -> None:
        for text in texts[number::CLIENTS]:
            outcomes[text] = await caller.ask(service.creating(text))

    async def terminate() -> None:
        while True:
            await asyncio.sleep(random.uniform(0.01, 0.05))
            await asyncio.to_thread(service.database.terminate_sessions)

    ending = asyncio.create_task(terminate())
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    ending.cancel()
    await asyncio.sleep(1)  # what is under way comes to its end
    return kept_promises(outcomes, service.database.present(texts))


def kept_promises(outcomes: dict[str, Response], rows: Sequence[str]) -> Finding:
    """Compare the responses to creations with the rows that are there."""
    present = set(rows)
    done = [text for text, response in outcomes.items() if response.succeeded]
    lost = [text for text in done if text not in present]
    unsaid = [text for text in outcomes if text in present and text not in done]
    seen = f"{len(lost)} of {len(done)} 2xx without their row, {len(unsaid)} of "
    return Finding(not lost, f"{seen}{len(outcomes) - len(done)} others with one")


def no_failures(responses: Sequence[Response]) -> Finding:
    failed = [response for response in responses if not response.status or response.status >= 500]
    seen = f"{len(failed)} of {len(responses)}" + (f" ({tally(failed)})" if failed else "")
    return Finding(not failed, seen)


async def at_once(
    service: Service, caller: Caller, number: int, patience: float = PATIENCE
) -> list[Response]:
    """Send so many reads at the same time."""
    asking = (caller.ask(service.page, patience) for _ in range(number))
    return list(await asyncio.gather(*asking))


async def seconds_until_served(
    service: Service, caller: Caller, patience: float = RECOVERY
) -> float | None:
    """Return after how many seconds a read succeeds, or None if none does in time."""
    started = time.monotonic()
    while (left := started + patience - time.monotonic()) > 0:
        if (await caller.ask(service.page, left)).succeeded:
            return time.monotonic() - started
        await asyncio.sleep(0.1)
    return None
