"""`Idempotency-Key` (the IETF's draft-ietf-httpapi-idempotency-key-header) on POST routes.

A router with `route_class=IdempotentRoute` stores the answers; its POST routes name
`claim_key` among their dependencies to take a key and to replay an answer.
"""

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

from fastapi import FastAPI, Header, Request, Response

from app.core.config import Settings
from app.core.http.limits import BoundedRoute

# {%- if cookiecutter.use_auth +%}
from app.core.security.tokens import read_access_token

# {%- endif +%}
from app.dependencies.database import SessionDep
from app.models.idempotency_key import IdempotencyKey
from app.services.idempotency_service import IdempotencyService

IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text that names this request: sent again, it gets the first answer.",
    ),
]


@dataclass(frozen=True)
class Claim:
    """A key that the running request holds."""

    service: IdempotencyService
    scope: str
    key: str
    fingerprint: bytes

    async def store(self, response: Response) -> None:
        headers = [(name.decode(), value.decode("latin-1")) for name, value in response.raw_headers]
        await self.service.store(
            scope=self.scope,
            key=self.key,
            fingerprint=self.fingerprint,
            status=response.status_code,
            headers=headers,
            body=bytes(response.body),
        )


class Replay(Exception):  # noqa: N818 (an answer rather than an error)
    """The request was answered before. Made while the row can be read: a rollback follows."""

    def __init__(self, answer: IdempotencyKey) -> None:
        self.response = Response(answer.body, status_code=answer.status)
        self.response.raw_headers = [
            (name.encode(), value.encode("latin-1")) for name, value in answer.headers
        ]
        self.response.headers["Idempotency-Replayed"] = "true"


class IdempotentRoute(BoundedRoute):
    """Stores the answer of a request that has claimed a key, in the request's transaction."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return handle
        # A request without a key does without the dependency: a twentieth of a create (measured).
        dependant = self.dependant
        needed = [
            dependency
            for dependency in dependant.dependencies
            if dependency.call is not claim_key or dependency.name  # a parameter of the handler
        ]
        self.dependant = replace(dependant, dependencies=needed)
        handle_without_key = super().get_route_handler()
        self.dependant = dependant

        async def handle_and_store(request: Request) -> Response:
            if "Idempotency-Key" not in request.headers:
                return await handle_without_key(request)
            response = await handle(request)
            # FastAPI closes the session, and so commits, after this function.
            claim: Claim | None = getattr(request.state, "idempotency", None)
            if claim:
                await claim.store(response)
            return response

        return handle_and_store


async def claim_key(
    request: Request, session: SessionDep, key: IdempotencyKeyHeader = None
) -> None:
    """Claim the caller's key. Raises `Replay`, `ConflictError` or `ValidationError`."""
    if key is None:
        return
    settings: Settings = request.app.state.settings
    # Whose key it is, so that nobody is answered what somebody else was.
    scope = "anyone"
    # {% if cookiecutter.use_auth %}
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token:
        scope = f"user {read_access_token(token, settings).user_id}"
    # {% endif %}
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    claim = Claim(IdempotencyService(session, settings), scope, key, digest.digest())
    answer = await claim.service.claim(scope, key, claim.fingerprint)
    if answer:
        raise Replay(answer)
    request.state.idempotency = claim


async def _replay(_request: Request, replay: Exception) -> Response:
    return cast("Replay", replay).response


def install_replay_handler(app: FastAPI) -> None:
    """Answer `Replay` with the stored answer."""
    app.add_exception_handler(Replay, _replay)
