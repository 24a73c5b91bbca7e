"""Probes of single requests: raced, odd, repeated, or from an old reading."""

import asyncio

from http_responses import Response

from probes.asking import Caller, tally
from probes.finding import NOT_THERE, Finding
from probes.service import Service, new_name, succeeded

SIGN_UPS = 50


async def one_address(service: Service, caller: Caller) -> Finding:
    """Sign up 50 times at once with one address: one succeeds, and the others are refused (4xx).

    A check before the INSERT does not see the other 49. Then the constraint decides, and a service that
    does not expect it responds with 500, for which somebody is woken, or a client tries again.
    """
    request = service.peer.sign_up(new_name())
    responses = await asyncio.gather(*(caller.ask(request) for _ in range(SIGN_UPS)))
    one = sum(response.succeeded for response in responses) == 1
    rest = sum(response.refused for response in responses) == SIGN_UPS - 1
    return Finding(one and rest, tally(responses))


async def odd_values(service: Service, caller: Caller) -> Finding:
    """Send a NUL character, half a surrogate pair, an id of 2**63: each is refused (4xx).

    JSON and HTTP can carry what PostgreSQL cannot store. A 500 tells the client to try again and the
    owner of a bug, and anybody can cause as many as they like.
    """
    responses = {
        "NUL": await caller.ask(service.creating("a\0b")),
        "surrogate": await caller.ask(service.creating("a\ud800b")),
    }
    if service.peer.read:
        responses["2**63"] = await caller.ask(service.peer.read(service.account, str(2**63)))
    seen = ", ".join(
        f"{name} {response.status or response.lack}" for name, response in responses.items()
    )
    return Finding(all(response.refused for response in responses.values()), seen)


async def repeated_post(service: Service, caller: Caller) -> Finding:
    """Send the same creation twice with one Idempotency-Key: there is one row.

    A client whose connection broke cannot know whether its request was served. With a key it can send
    it again, and need not choose between losing it and doing it twice.
    """
    text = new_name()
    request = service.creating(text).adding(Idempotency_Key=new_name())
    responses = [await caller.ask(request) for _ in range(2)]
    rows = len(service.database.present([text]))
    return Finding(rows == 1, f"{rows} row{'s' * (rows != 1)} ({statuses(responses)})")


async def old_reading(service: Service, caller: Caller) -> Finding:
    """Change a row twice from one reading, as two clients do: the second is refused.

    Otherwise the first change is gone, and nobody learns of it. Each sends what the reading gave it to
    say which version it has seen: If-Match with the ETag, if there is one.
    """
    if not (service.peer.read and service.peer.update):
        return NOT_THERE
    created = succeeded(await caller.ask(service.creating(new_name())))
    row = str(created.json()["id"])
    reading = succeeded(await caller.ask(service.peer.read(service.account, row)))
    tag = reading.headers.get("ETag")
    responses = []
    for _ in range(2):
        request = service.peer.update(service.account, row, new_name())
        responses.append(await caller.ask(request.adding(If_Match=tag) if tag else request))
    succeeded(responses[0])
    return Finding(
        responses[1].refused, f"{statuses(responses)}{'' if tag else ', no version to name'}"
    )


def statuses(responses: list[Response]) -> str:
    return ", ".join(str(response.status or response.lack) for response in responses)
