"""Domain errors.

Each carries the HTTP status and the code of its response, so that services raise them without
knowing HTTP and one handler in `app.core.http.problem_handlers` responds to all of them.
"""

from asyncio import CancelledError
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


def explain(error: BaseException) -> str:
    """Return the messages of an error and of its causes, in one line, for logs and terminals.

    Clients must not see it: messages of drivers name hosts and users.
    """
    messages = [" ".join(str(error).split()) or type(error).__name__]
    while cause := error.__cause__:
        text = " ".join(str(cause).split())
        # A time limit raises its error from a cancellation, which explains nothing.
        is_of_limit = isinstance(error, TimeoutError) and isinstance(cause, CancelledError)
        if not text and not is_of_limit:
            messages.append(type(cause).__name__)
        elif text not in messages[-1]:  # SQLAlchemy repeats the message of the driver
            messages.append(f"{type(cause).__name__}: {text}")
        error = cause
    return ", because ".join(messages)


class AppError(Exception):
    """Base class of all domain errors.

    Clients see the message: it says what is wrong, with the value, and never holds SQL or a secret.
    `field` names the wrong field of the body or the path, if one is wrong. `kind` names the violated
    rule, for programs.
    """

    status: ClassVar[int] = 500
    # For programs. A subclass has a code of its own if clients must distinguish it from other errors with
    # its status.
    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"
    headers: Mapping[str, str] | None = None

    def __init__(self, message: str, *, field: str | None = None, kind: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.kind = kind or self.code.lower()


class NotFoundError(AppError):
    """The resource does not exist."""

    status = 404
    code = "NOT_FOUND"


class RequestTimeoutError(AppError):
    """The client took too long to send its request (RFC 9110, section 15.5.9)."""

    status = 408
    code = "REQUEST_TIMEOUT"
    headers = MappingProxyType({"Connection": "close"})


class ContentTooLargeError(AppError):
    """The request body is too large."""

    status = 413
    code = "CONTENT_TOO_LARGE"
    headers = MappingProxyType({"Connection": "close"})


class ConflictError(AppError):
    """The request conflicts with stored data, such as a duplicate."""

    status = 409
    code = "CONFLICT"


class EmailTakenError(ConflictError):
    """Another user has the e-mail address."""

    code = "EMAIL_TAKEN"


class KeyInUseError(ConflictError):
    """Another request with the same Idempotency-Key is being processed."""

    code = "KEY_IN_USE"


class AlreadyProcessedError(ConflictError):
    """The request repeats one that succeeded, whose response was not stored."""

    code = "ALREADY_PROCESSED"


class VersionMismatchError(AppError):
    """The resource has changed since the client read it. `version` is the number of its current `ETag`."""

    status = 412
    code = "PRECONDITION_FAILED"

    def __init__(self, version: int) -> None:
        super().__init__("The resource has changed since you read it; read it again")
        self.headers = {"ETag": f'"{version}"'}


class PreconditionRequiredError(AppError):
    """The request needs an `If-Match` header (RFC 6585)."""

    status = 428
    code = "PRECONDITION_REQUIRED"


class ValidationError(AppError):
    """The request is well-formed but violates a business rule."""

    status = 422
    code = "VALIDATION_ERROR"

    def __init__(
        self, message: str, *, field: str | None = None, kind: str = "value_error"
    ) -> None:
        super().__init__(message, field=field, kind=kind)


class KeyReusedError(ValidationError):
    """The Idempotency-Key was used for a different request."""

    code = "KEY_REUSED"


# {% if cookiecutter.use_auth %}
class LastAdminError(ConflictError):
    """Without this administrator the service would have none."""

    code = "LAST_ADMIN"


class AuthenticationError(AppError):
    """The caller is not authenticated (RFC 6750, section 3)."""

    status = 401
    code = "UNAUTHORIZED"
    headers: Mapping[str, str] | None = MappingProxyType({"WWW-Authenticate": "Bearer"})


class InvalidTokenError(AuthenticationError):
    """The access token is invalid, expired or revoked (RFC 6750, section 3.1)."""

    headers = MappingProxyType({"WWW-Authenticate": 'Bearer error="invalid_token"'})


class SignInNotFreshError(AuthenticationError):
    """The caller has to sign in again, because they last did more than `seconds` ago (RFC 9470)."""

    code = "INSUFFICIENT_USER_AUTHENTICATION"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Sign in again: this requires a sign-in within the last {seconds} s")
        challenge = f'Bearer error="insufficient_user_authentication", max_age={seconds}'
        self.headers = {"WWW-Authenticate": challenge}


class TooManyRequestsError(AppError):
    """The client has to wait `seconds` before the next attempt (RFC 6585)."""

    status = 429
    code = "TOO_MANY_REQUESTS"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many attempts; try again in {seconds} s")
        self.headers = {"Retry-After": str(seconds)}


# {% endif %}
class PermissionError(AppError):
    """The caller is not allowed to do this."""

    status = 403
    code = "FORBIDDEN"


class UnavailableError(AppError):
    """The database or another system is unavailable. The same request may succeed later.

    `kind` names the cause for logs and metrics, such as `pool` or `deadlock`.
    """

    status = 503
    code = "SERVICE_UNAVAILABLE"
    headers = MappingProxyType({"Retry-After": "1"})
