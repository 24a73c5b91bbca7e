"""What a refused constraint means to the domain: the one place that says so.

The database decides such rules, because a check before the write loses the race against a second
client. A test fails when a unique, foreign-key or check constraint of a model is missing here.
"""

import re
from typing import Final

from app.core.database.drivers import ConstraintViolation
from app.exceptions import (
    AppError,
    ConflictError,
    NotFoundError,
    # {% if cookiecutter.use_auth %}
    ValidationError,
    # {% endif %}
)

# `{value}` is the refused value, as the constraint sees it: of an e-mail address, in lower case.
CONSTRAINT_ERRORS: Final[dict[str, tuple[type[AppError], str]]] = {
    "uq_users_email_lower": (ConflictError, "E-mail address {value} is already registered"),
    "fk_posts_author_id_users": (NotFoundError, "Author {value} not found"),
    "uq_idempotency_keys_scope_key": (ConflictError, "The Idempotency-Key is in use"),
    # {% if cookiecutter.use_auth %}
    "ck_users_role": (ValidationError, "The role of a user is user or admin"),
    "uq_user_sessions_key": (ConflictError, "The session has begun already"),
    "fk_user_sessions_user_id_users": (NotFoundError, "User {value} not found"),
    "uq_one_time_tokens_digest": (ConflictError, "The token is in use"),
    "uq_one_time_tokens_purpose_email": (ConflictError, "A mail to {value} is on its way"),
    "fk_one_time_tokens_user_id_users": (NotFoundError, "User {value} not found"),
    "ck_one_time_tokens_purpose": (ValidationError, "A token has no such purpose"),
    # {% endif %}
}

# The words of a detail are in the server's language; `(columns)=(values)` is in all of them.
_VALUE: Final = re.compile(r"\)=\((?P<value>.*)\)", re.DOTALL)


def domain_error(violation: ConstraintViolation) -> AppError | None:
    """Translate a violation, or return None for a constraint that no client can break."""
    if violation.constraint not in CONSTRAINT_ERRORS:
        return None
    error, message = CONSTRAINT_ERRORS[violation.constraint]
    match = _VALUE.search(violation.detail)
    return error(message.format(value=match["value"] if match else "given"))
