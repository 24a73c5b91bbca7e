"""`Idempotency-Key` on POST requests (the IETF's draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import re
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.http.edge import Claims, Replay
from app.core.http.problem_declarations import declared_statuses, may_respond
from app.dependencies.caller import ANYONE, identify_caller
from app.exceptions import ValidationError
from app.models.idempotency_key import IdempotencyKey
from app.services.idempotency_service import IdempotencyService, RequestDigests

HEADER: Final = "Idempotency-Key"
KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A unique name of this request. Repeating it returns the first response.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
}
_REPLAYED: Final = {
    "Idempotency-Replayed": {
        "description": "`true` if this is the response to an earlier request with the same key.",
        "schema": {"type": "string", "const": "true"},
    }
}


def install_idempotency(app: FastAPI) -> None:
    """Have the edge use the header, and OpenAPI declare it."""
    app.state.claims = Claims(read_idempotency_key, _PARAMETER, _REPLAYED)


@may_respond(*declared_statuses(identify_caller))
def read_idempotency_key(request: Request) -> "KeyClaim | None":
    """Return the claim to the key of a POST request, or None. Raises `RequestValidationError`."""
    keys = request.headers.getlist(HEADER) if request.method == "POST" else []
    if not keys:
        return None
    if len(keys) > 1 or not KEY.fullmatch(keys[0]):
        raise RequestValidationError(
            [
                {
                    "type": "string_pattern_mismatch",
                    "loc": ("header", HEADER),
                    "msg": "There must be one key, of 1 to 255 visible ASCII characters",
                    "input": None,
                }
            ]
        )
    return KeyClaim(request, keys[0])


class KeyClaim:
    """The claim of a request to its key."""

    def __init__(self, request: Request, key: str) -> None:
        self._request = request
        self._settings: Settings = request.app.state.settings
        self._key = key

    async def acquire(self, session: AsyncSession) -> None:
        """Claim the key for the caller, so that callers never get each other's responses.

        Raises `Replay`, `ConflictError`, `ValidationError`, and as `identify_caller` does.
        """
        scope = await identify_caller(self._request)
        self._is_anonymous = scope == ANYONE
        self._digests = RequestDigests.of(
            await self._digest(),
            scope,
            self._key,
            self._settings.digest_keys,
            is_anonymous=self._is_anonymous,
        )
        stored = await IdempotencyService(session, self._settings).claim(self._digests)
        if stored:
            raise Replay(_replay(stored))

    async def store(self, session: AsyncSession, response: Response) -> None:
        """Store the response, in the transaction of the request.

        For an anonymous caller only the success is stored, because the response may be personal. Raises
        `ValidationError` for a stream or a file, which has no body to store, and for a response that
        says `Cache-Control: no-store`, which holds a secret.
        """
        body = getattr(response, "body", None)
        if body is None or "no-store" in response.headers.get("Cache-Control", "").lower():
            raise ValidationError(
                f"The response cannot be stored for repetitions; send the request without {HEADER}"
            )
        service = IdempotencyService(session, self._settings)
        if self._is_anonymous and body and not self._settings.stores_responses_to_anyone:
            await service.store_without_response(self._digests)
            return
        await service.store(
            self._digests,
            status=response.status_code,
            headers=response.headers.items(),
            body=bytes(body),
        )

    async def _digest(self) -> bytes:
        request = self._request
        query = f"?{request.url.query}" if request.url.query else ""
        digest = hashlib.sha256(f"{request.method} {request.url.path}{query}\n".encode())
        digest.update(await request.body())
        return digest.digest()


def _replay(stored: IdempotencyKey) -> Response:
    """Return the stored response. Call it before the rollback, which expires the row."""
    response = Response(stored.body, status_code=stored.status)
    for name, value in stored.headers:
        if name != "content-length":  # which the body has given it
            response.headers.append(name, value)
    response.headers["Idempotency-Replayed"] = "true"
    return response
