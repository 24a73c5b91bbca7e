"""Which problem each failure becomes: domain errors, invalid requests, FastAPI's own errors, bugs."""

import json
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI, Request, Response, WebSocket, status
from fastapi.exceptions import RequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.websockets import WebSocketState

from app.core.http.problems import ProblemError, log_failure, problem_response
from app.core.observability.requests import note_outcome
from app.core.types import NO_NUL, NUL_REFUSED
from app.exceptions import AppError, explain

_MAX_ERRORS: Final = 50  # of a response; nobody reads more, and clients would choose its size


async def respond_to_app_error(request: Request, error: Exception) -> JSONResponse | None:
    """Respond to a domain error, or close an accepted WebSocket and return None."""
    error = cast("AppError", error)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        note_outcome(error.kind)
    log_failure(request, error.status, explain(error))
    if await _close_socket(request, error):
        return None
    errors = []
    if loc := _location(request, error.field):
        errors = [ProblemError(loc=loc, detail=str(error), code=error.kind)]
    return problem_response(
        request,
        status=error.status,
        detail=str(error),
        code=error.code,
        errors=errors,
        headers=error.headers,
    )


def _location(request: Request, field: str | None) -> list[str | int]:
    """Return where the request has a field, or nothing: it may be a column that no body names."""
    body = getattr(request.scope.get("route"), "body_field", None)
    if field and body:
        # A body that is no model may have any field.
        fields = getattr(body.field_info.annotation, "model_fields", {field: None})
        if field in fields:
            return ["body", getattr(fields[field], "alias", None) or field]
    return ["path", field] if field in request.path_params else []


async def _close_socket(connection: HTTPConnection, error: AppError) -> bool:
    """Close an accepted WebSocket, which can have no response. Return whether it was one."""
    is_open = (
        isinstance(connection, WebSocket)
        and connection.application_state == WebSocketState.CONNECTED
    )
    if is_open:
        code = (
            status.WS_1008_POLICY_VIOLATION if error.status < 500 else status.WS_1011_INTERNAL_ERROR
        )
        # A reason has up to 123 bytes (RFC 6455, section 5.5).
        reason = str(error).encode()[:123].decode(errors="ignore")
        await cast("WebSocket", connection).close(code, reason)
    return is_open


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Respond with what is wrong and where, without the input, which may be a secret."""
    found = cast("RequestValidationError", error).errors()
    errors = [
        ProblemError(loc=item["loc"], detail=_sentence(item), code=item["type"])
        for item in found[:_MAX_ERRORS]
    ]
    if any(one.loc[0] == "body" for one in errors) and (wrong := _wrong_media_type(request)):
        errors.insert(0, wrong)
    return problem_response(
        request,
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        detail="The request is not valid; see errors",
        code="VALIDATION_ERROR",
        errors=errors,
        more_errors=max(0, len(found) - _MAX_ERRORS) or None,
    )


def _sentence(error: dict[str, Any]) -> str:
    """Return what is wrong, without the regular expression of `Text` and the prefix of Pydantic."""
    context = error.get("ctx", {})
    if context.get("pattern") == NO_NUL:
        return NUL_REFUSED
    raised = context.get("error")  # by a validator; other kinds of errors have a text here
    message: str = error["msg"]
    return str(raised) or message if isinstance(raised, Exception) else message


# Responses with these statuses have no body (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
_WITHOUT_BODY: Final = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}

# Form types; a route without files reads either.
_FORMS: Final = {"application/x-www-form-urlencoded", "multipart/form-data"}


def _wrong_media_type(request: Request) -> ProblemError | None:
    """Return an error if the body is not of the type that the route reads, such as a form."""
    body = getattr(request.scope.get("route"), "body_field", None)
    wanted: str | None = getattr(body.field_info, "media_type", None) if body else None
    sent = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_json = sent.endswith("+json") and wanted == "application/json"
    if wanted is None or sent == wanted or is_json or {sent, wanted} <= _FORMS:
        return None
    return ProblemError(
        loc=["header", "Content-Type"],
        detail=f"Send the body as {wanted}, not as {sent or 'an unknown type'}",
        code="media_type",
    )


async def _http_exception(request: Request, error: Exception) -> Response:
    """Respond to errors of FastAPI itself: unknown paths, wrong methods, unreadable bodies.

    A project's own `HTTPException` may have any status and any JSON as its detail.
    """
    error = cast("HTTPException", error)
    log_failure(request, error.status_code, explain(error))
    headers = error.headers
    if error.status_code in _WITHOUT_BODY:
        return Response(status_code=error.status_code, headers=headers)
    is_refused = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    if is_refused and isinstance(request.scope.get("route"), APIRoute):  # not a mounted application
        headers = {**(headers or {}), "Allow": ", ".join(_allowed_methods(request))}
    detail: Any = error.detail
    if not isinstance(detail, str):
        detail = json.dumps(detail, default=str)
    return problem_response(request, status=error.status_code, detail=detail, headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of a path. Starlette reports those of the first route only."""
    routes = request.app.routes
    allowed = {
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes
        )
    }
    if HTTPMethod.GET in allowed:
        allowed.add(HTTPMethod.HEAD)  # see `app.core.http.head`
    return sorted(allowed)


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
    # Starlette's types allow a handler for requests or for WebSockets, not for both.
    app.add_exception_handler(AppError, respond_to_app_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
