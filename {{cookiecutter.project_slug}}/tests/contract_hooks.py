"""What schemathesis cannot know of valid input (it imports this file: SCHEMATHESIS_HOOKS)."""

import uuid

# {%- if cookiecutter.use_auth +%}
from os import environ

# {%- endif +%}
from typing import Any

import schemathesis
from hypothesis import strategies as st

# The part of all addresses that email-validator takes, which no JSON schema can describe.
schemathesis.openapi.format(
    "email", st.from_regex(r"[a-z][a-z0-9]{0,20}@[a-z]{1,10}\.example\.com", fullmatch=True)
)
# {% if cookiecutter.use_auth %}
# Of all passwords those that nobody guesses first, and that count as long as they look.
schemathesis.openapi.format(
    "password", st.from_regex(r"[A-Za-z0-9]{8}-[A-Za-z0-9]{8}", fullmatch=True)
)
# {% endif %}


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Leave out a query parameter made of several: the last one counts, and it may be valid."""
    return not any(isinstance(value, list | dict) for value in (case.query or {}).values())


@schemathesis.hook
def before_call(_context: Any, case: Any, _options: dict[str, Any]) -> None:
    """Replace what is well-formed and still refused, because of what happened before."""
    # A cursor is what a page before has returned. One that is wrong by the schema stays.
    if case.meta is None or case.meta.generation.mode.is_positive:
        case.query.pop("cursor", None)
    # An ETag is what the resource had when it was read.
    case.headers.pop("If-Match", None)
    # A key belongs to one request.
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # {% if cookiecutter.use_auth %}
    # The caller goes on calling: it neither loses its account or role nor signs itself out.
    taken_away = case.method == "DELETE" or case.path.endswith("/access")
    if taken_away and str(case.path_parameters.get("user_id")) == "1":
        case.path_parameters["user_id"] = 2
    if case.method == "DELETE" and case.path.endswith("/sessions"):
        case.headers["Authorization"] = f"Bearer {environ['CONTRACT_OTHER_TOKEN']}"
    # {% endif %}
