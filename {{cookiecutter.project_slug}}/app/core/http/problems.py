"""Error responses: RFC 9457 problem details, in one shape for every failure."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.exceptions import AppError, ValidationError

MEDIA_TYPE: Final = "application/problem+json"

# Renamed by RFC 9110, and by Python in 3.13.
_TITLES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


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
    title = _title(status)
    problem = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=detail,
        code=code or _code(title),
        instance=quote(request.scope["path"]),
        errors=list(errors) if errors else None,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=status,
        headers=dict(headers) if headers else None,
        media_type=MEDIA_TYPE,
    )


def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase


def _code(title: str) -> str:
    return title.upper().replace(" ", "_")


async def _app_error(request: Request, error: Exception) -> JSONResponse:
    error = cast("AppError", error)
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
    """Respond to errors of FastAPI itself: unknown paths, wrong methods, unreadable bodies."""
    error = cast("HTTPException", error)
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_allowed_methods(request))}
    return problem_response(request, status=error.status_code, detail=error.detail, headers=headers)


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


FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_statuses: Final[dict[Callable[..., Any], tuple[int, ...]]] = {}


def may_respond(*statuses: int) -> Callable[[FunctionT], FunctionT]:
    """Declare that routes with this dependency may respond with these statuses."""

    def declare(dependency: FunctionT) -> FunctionT:
        _statuses[dependency] = statuses
        return dependency

    return declare


def declared_statuses(dependency: Callable[..., Any]) -> tuple[int, ...]:
    """Return the statuses that `may_respond` has declared for a dependency."""
    return _statuses.get(dependency, ())


# The description of each status in OpenAPI, and an example of the detail.
_EXAMPLES: Final = {
    400: ("The body cannot be read", "There was an error parsing the body"),
    401: ("Credentials are missing or invalid", "Not authenticated"),
    403: ("The caller is not allowed to do this", "Only the owner may do this"),
    404: ("The resource does not exist", "User 7 not found"),
    408: ("The body did not arrive in time", "The body did not arrive within 10 s"),
    409: ("The request conflicts with stored data", "E-mail address ann@example.com is taken"),
    412: ("The resource has changed", "The resource has changed since you read it; read it again"),
    413: ("The body of the request is too large", "The body has more than 2097152 bytes"),
    414: ("The query string is too long", "The query string has more than 8192 bytes"),
    422: ("The request is not valid", "The request is not valid; see errors"),
    428: ("If-Match is required", "Send the ETag that you have read in If-Match"),
    429: ("Too many attempts", "Too many attempts; try again in 60 s"),
    500: ("The server failed", "The server failed to process the request; the error is logged"),
    503: ("Temporarily unavailable", "The database cannot be reached"),
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route or router that may fail with these statuses."""
    return {status: _declaration(status) for status in statuses}


def _declaration(status: int) -> dict[str, Any]:
    description, detail = _EXAMPLES[status]
    title = _title(status)
    example = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=detail,
        code="VALIDATION_ERROR" if status == 422 else _code(title),
        instance="/users/7",
        errors=[_EXAMPLE_ERROR] if status == 422 else None,
    )
    # FastAPI would declare a "model" as application/json, hence the explicit schema.
    return {
        "description": description,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example.model_dump(exclude_none=True),
            }
        },
    }


_EXAMPLE_ERROR: Final = ProblemError(
    loc=["query", "limit"],
    detail="Input should be less than or equal to 100",
    code="less_than_equal",
)


def add_problem_schema(openapi: dict[str, Any]) -> None:
    """Add the schemas that `problem_responses` refers to."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs")
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(
        {"Problem": schema, **definitions}
    )
