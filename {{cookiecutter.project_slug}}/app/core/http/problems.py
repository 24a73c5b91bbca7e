"""Error responses: RFC 9457 problem details, in one shape for every failure."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.exceptions import AppError, ValidationError, explain

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
            }
        }
    )

    type: str = Field(description="`about:blank`: status and code say what the problem is.")
    title: str = Field(description="The name of the HTTP status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong in this request.")
    code: str = Field(description="The kind of failure, machine-readable.")
    instance: str = Field(description="The path of the request.")
    errors: list[ProblemError] | None = Field(
        default=None, description="The validation errors, if the request failed validation."
    )


def problem_response(
    request: Request,
    *,
    status: int,
    detail: str,
    code: str | None = None,
    errors: Sequence[ProblemError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the response to a failed request. `code` defaults to the title, as in `NOT_FOUND`."""
    title = status_title(status)
    problem = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=detail,
        code=code or status_code_name(title),
        instance=quote(request.scope["path"]),
        errors=list(errors) if errors else None,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=status,
        headers=dict(headers) if headers else None,
        media_type=MEDIA_TYPE,
    )


def status_title(status: int) -> str:
    """Return the name of an HTTP status, also of one that is not registered."""
    if status in _TITLES:
        return _TITLES[status]
    return HTTPStatus(status).phrase if status in _STATUSES else f"Error {status}"


def status_code_name(title: str) -> str:
    return title.upper().replace(" ", "_")


def _log_failure(request: Request, status: int, error: Exception) -> None:
    """Log why the server failed. The server logs unexpected errors itself, with a traceback."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        path = quote(request.scope["path"])
        _logger.error("%s %s: %d, %s", request.scope.get("method"), path, status, explain(error))


async def _app_error(request: Request, error: Exception) -> JSONResponse:
    error = cast("AppError", error)
    _log_failure(request, error.status, error)
    errors = []
    if isinstance(error, ValidationError) and error.field:
        errors = [ProblemError(loc=["body", error.field], detail=str(error), code=error.kind)]
    return problem_response(
        request,
        status=error.status,
        detail=str(error),
        code=error.code,
        errors=errors,
        headers=error.headers,
    )


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Respond with what is wrong and where, without the input, which may be a secret."""
    errors = [
        ProblemError(loc=item["loc"], detail=item["msg"], code=item["type"])
        for item in cast("RequestValidationError", error).errors()
    ]
    return problem_response(
        request,
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        detail="The request is not valid; see errors",
        code="VALIDATION_ERROR",
        errors=errors,
    )


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    """Respond to errors of FastAPI itself: unknown paths, wrong methods, unreadable bodies.

    A project's own `HTTPException` may have any status and any JSON as its detail.
    """
    error = cast("HTTPException", error)
    _log_failure(request, error.status_code, error)
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_allowed_methods(request))}
    detail: Any = error.detail
    if not isinstance(detail, str):
        detail = json.dumps(detail, default=str)
    return problem_response(request, status=error.status_code, detail=detail, headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of a path. Starlette reports those of the first route only."""
    routes = request.app.routes
    return [
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes
        )
    ]


async def respond_to_unexpected_error(
    request: Request,
    error: Exception,  # noqa: ARG001
) -> JSONResponse:
    """Respond to a bug without details. The server logs the traceback."""
    return problem_response(
        request,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="The server failed to process the request; the error is logged",
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Respond with a problem to every failure except unexpected errors."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
