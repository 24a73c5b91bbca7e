"""Error responses: RFC 9457 problem details, in one shape for every failure."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import Request
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from app.core.http.draining import DRAINING
from app.core.http.paths import PROBES, public_path
from app.core.observability.requests import RequestRecord, current_request

MEDIA_TYPE: Final = "application/problem+json"

_logger: Final = logging.getLogger(__name__)

# Renamed by RFC 9110, and by Python in 3.13.
_TITLES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


_STATUSES: Final = frozenset(HTTPStatus)


EXAMPLE_ID: Final = "2f1d7c5a90b34e0f8f6f1d0f5a3f9f0e"


class ProblemError(BaseModel):
    """One validation error of a request."""

    loc: list[str | int] = Field(
        description="Location: `body`, `query`, `path` or `header`, then names and indices."
    )
    detail: str = Field(description="What is wrong with the value.")
    code: str = Field(description="The kind of error, machine-readable.")


class Problem(BaseModel):
    """A failed request (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "User 7 not found",
                "code": "NOT_FOUND",
                "instance": "/users/7",
                "request_id": EXAMPLE_ID,
            }
        }
    )

    type: str = Field(description="`about:blank`: status and code say what the problem is.")
    title: str = Field(description="The name of the HTTP status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong in this request.")
    code: str = Field(description="The kind of failure, machine-readable.")
    instance: str = Field(description="The path of the request.")
    request_id: str | None = Field(
        default=None, description="The id of the request, as in `X-Request-ID` and in the logs."
    )
    errors: list[ProblemError] | None = Field(
        default=None, description="Which values of the request are wrong, if some are."
    )
    more_errors: int | None = Field(
        default=None, description="How many errors are left out, if some are."
    )


def problem_response(
    request: Request,
    *,
    status: int,
    detail: str,
    code: str | None = None,
    errors: Sequence[ProblemError] | None = None,
    more_errors: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the response to a failed request. `code` defaults to `default_code(status)`."""
    instance = quote(public_path(request.scope))
    record = current_request()
    problem = new_problem(
        status,
        detail,
        instance=instance,
        code=code,
        errors=errors,
        more_errors=more_errors,
        request_id=record.id if record else None,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=status,
        headers=dict(headers) if headers else None,
        media_type=MEDIA_TYPE,
    )


def new_problem(
    status: int,
    detail: str,
    *,
    instance: str,
    code: str | None = None,
    errors: Sequence[ProblemError] | None = None,
    more_errors: int | None = None,
    request_id: str | None = None,
) -> Problem:
    """Return a problem of type `about:blank`. `code` defaults to `default_code(status)`."""
    return Problem(
        type="about:blank",
        title=title_of(status),
        status=status,
        detail=detail,
        code=code or default_code(status),
        instance=instance,
        request_id=request_id,
        errors=list(errors) if errors else None,
        more_errors=more_errors,
    )


def default_code(status: int) -> str:
    """Return the code of a problem that has none of its own: its title, as in `NOT_FOUND`."""
    return title_of(status).upper().replace(" ", "_")


def title_of(status: int) -> str:
    """Return the name of a status, as in `Not Found`, also of one that is not registered."""
    if status in _TITLES:
        return _TITLES[status]
    return HTTPStatus(status).phrase if status in _STATUSES else f"Error {status}"


def log_failure(connection: HTTPConnection, status: int, reason: str) -> None:
    """Log why the server failed. The server logs unexpected errors itself, with a traceback."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        method = connection.scope.get("method", "WebSocket")
        record = current_request()
        # The template, because paths hold ids.
        path = (record and record.route) or quote(public_path(connection.scope))
        _logger.log(_level(record), "%s %s: %d, %s", method, path, status, reason)


def _level(record: RequestRecord | None) -> int:
    """Return ERROR, or less for a health check, whose failure is intended during shutdown."""
    if not record or record.route not in PROBES:
        return logging.ERROR
    return logging.DEBUG if record.outcome == DRAINING else logging.WARNING
