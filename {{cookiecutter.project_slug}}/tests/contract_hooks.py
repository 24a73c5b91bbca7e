"""What schemathesis cannot know of valid input (it imports this file: SCHEMATHESIS_HOOKS)."""

import uuid
from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.contract_callers import FORMATS, adapt

# The part of all addresses that email-validator takes, which no JSON schema can describe.
EMAIL = r"[a-z][a-z0-9]{0,20}@[a-z]{1,10}\.example\.com"

for name, pattern in {"email": EMAIL, **FORMATS}.items():
    schemathesis.openapi.format(name, st.from_regex(pattern, fullmatch=True))


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
    adapt(case)
