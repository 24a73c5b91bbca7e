"""Which error responses a route may give, for its OpenAPI description."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from app.core.http.problems import (
    EXAMPLE_ID,
    MEDIA_TYPE,
    Problem,
    ProblemError,
    default_code,
    new_problem,
    title_of,
)
from app.exceptions import AppError

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


_requiring: Final[set[Callable[..., Any]]] = set()


def requires_credentials(dependency: FunctionT) -> FunctionT:
    """Declare that routes with this dependency refuse requests without credentials."""
    _requiring.add(dependency)
    return dependency


def needs_credentials(dependency: Any) -> bool:
    """Return whether a dependency, or a security scheme, refuses requests without credentials."""
    return dependency in _requiring or getattr(dependency, "auto_error", False)


# The description of a status in OpenAPI, and an example of the detail. Others have their title.
_EXAMPLES: Final = {
    400: ("The body cannot be read", "There was an error parsing the body"),
    401: ("Credentials are missing or invalid", "Not authenticated"),
    403: ("The caller is not allowed to do this", "Only the owner may do this"),
    404: ("The resource does not exist", "User 7 not found"),
    408: ("The body did not arrive in time", "The body did not arrive within 10 s"),
    409: (
        "The request conflicts with stored data",
        "E-mail address ann@example.com is already registered",
    ),
    412: ("The resource has changed", "The resource has changed since you read it; read it again"),
    413: ("The body of the request is too large", "The body has more than 65536 bytes"),
    414: ("The path or the query string is too long", "The query string has more than 8192 bytes"),
    422: ("The request is not valid", "The request is not valid; see errors"),
    428: ("If-Match is required", "Send the ETag that you have read in If-Match"),
    429: ("Too many attempts", "Too many attempts; try again in 60 s"),
    500: ("The server failed", "The server failed to process the request; the error is logged"),
    503: ("Temporarily unavailable", "The database cannot be reached"),
}


_RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "Seconds until the next attempt may succeed.",
        "schema": {"type": "integer", "minimum": 0},
    }
}
ETAG: Final = {
    "ETag": {"description": "The version of the resource.", "schema": {"type": "string"}}
}
_HEADERS: Final = {
    401: {
        "WWW-Authenticate": {
            "description": "How to authenticate (RFC 9110, section 11.6.1).",
            "schema": {"type": "string"},
        }
    },
    412: ETAG,
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route or router that may fail with these statuses."""
    return {status: _declaration(status) for status in statuses}


def _declaration(status: int) -> dict[str, Any]:
    title = title_of(status)
    description, detail = _EXAMPLES.get(status, (title, title))
    example = new_problem(
        status,
        detail,
        instance="/users/7",
        request_id=EXAMPLE_ID,
        code="VALIDATION_ERROR" if status == 422 else None,
        errors=[_EXAMPLE_ERROR] if status == 422 else None,
    )
    # FastAPI would declare a "model" as application/json, hence the explicit schema.
    return {
        "description": description,
        **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
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
    """Add the schemas that `problem_responses` refers to. Call it once all responses are declared."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schema["properties"]["code"]["enum"] = sorted(_codes(openapi))
    definitions = schema.pop("$defs")
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(
        {"Problem": schema, **definitions}
    )


def _codes(openapi: dict[str, Any]) -> set[str]:
    """Return the codes of problems: of declared statuses, of unknown paths and methods, of domain errors."""
    declared = {
        int(status)
        for path in openapi["paths"].values()
        for operation in path.values()
        for status, response in operation["responses"].items()
        # FastAPI allows "default" and "4XX", too.
        if status.isdecimal() and MEDIA_TYPE in response.get("content", {})
    }
    return {*map(default_code, {404, 405, *declared}), *_codes_of(AppError)}


def _codes_of(error: type[AppError]) -> set[str]:
    return {error.code}.union(*map(_codes_of, error.__subclasses__()))
