"""The domain's errors.

Services raise them without knowing of HTTP; each carries the status and the code under which
`app.core.http.problems` reports it, so that one handler serves them all.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


class AppError(Exception):
    """Base of every error that the application raises on purpose.

    The message is shown to the client: it says what was wrong, with the value, and never holds
    SQL or a secret.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"
    headers: Mapping[str, str] | None = None


class NotFoundError(AppError):
    """The resource does not exist."""

    status = 404
    code = "NOT_FOUND"


class RequestTimeoutError(AppError):
    """The client took too long to send its request. RFC 9110, section 15.5.9 asks for the header."""

    status = 408
    code = "REQUEST_TIMEOUT"
    headers = MappingProxyType({"Connection": "close"})


class ContentTooLargeError(AppError):
    """The body of the request is too large to be read to its end."""

    status = 413
    code = "CONTENT_TOO_LARGE"
    headers = MappingProxyType({"Connection": "close"})


class ConflictError(AppError):
    """The request contradicts what is stored, for instance a duplicate."""

    status = 409
    code = "CONFLICT"


class VersionMismatchError(AppError):
    """The resource has changed since the caller read it. `version` is the present one."""

    status = 412
    code = "PRECONDITION_FAILED"

    def __init__(self, version: int) -> None:
        super().__init__("The resource has changed since you read it; read it again")
        self.headers = {"ETag": f'"{version}"'}


class PreconditionRequiredError(AppError):
    """The caller has to say which version of the resource it means to change (RFC 6585)."""

    status = 428
    code = "PRECONDITION_REQUIRED"


class ValidationError(AppError):
    """The request is well-formed but breaks a business rule.

    `field` is the member of the body that breaks it, `kind` names the rule for programs.
    """

    status = 422
    code = "VALIDATION_ERROR"

    def __init__(
        self, message: str, *, field: str | None = None, kind: str = "value_error"
    ) -> None:
        super().__init__(message)
        self.field = field
        self.kind = kind


# {% if cookiecutter.use_auth %}
class AuthenticationError(AppError):
    """The caller is not known. RFC 6750, section 3 asks for the `WWW-Authenticate` header."""

    status = 401
    code = "UNAUTHORIZED"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class InvalidTokenError(AuthenticationError):
    """The request holds an access token that does not count (RFC 6750, section 3.1)."""

    headers = MappingProxyType({"WWW-Authenticate": 'Bearer error="invalid_token"'})


class TooManyRequestsError(AppError):
    """The caller has to wait before it tries again, for so many seconds (RFC 6585)."""

    status = 429
    code = "TOO_MANY_REQUESTS"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many attempts; try again in {seconds} s")
        self.headers = {"Retry-After": str(seconds)}


# {% endif %}
class PermissionError(AppError):
    """The caller may not do this."""

    status = 403
    code = "FORBIDDEN"


class UnavailableError(AppError):
    """Something that the service needs does not answer; the same request may succeed later."""

    status = 503
    code = "SERVICE_UNAVAILABLE"
    headers = MappingProxyType({"Retry-After": "1"})
