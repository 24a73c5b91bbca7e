"""Hooks of schemathesis (SCHEMATHESIS_HOOKS): rules of valid input that the document cannot state."""

import uuid
from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.contract_callers import FORMATS, adapt, register

# Addresses that email-validator accepts, which no JSON schema can describe.
EMAIL = r"[a-z][a-z0-9]{0,20}@[a-z]{1,10}\.example\.com"

for name, pattern in {"email": EMAIL, **FORMATS}.items():
    schemathesis.openapi.format(name, st.from_regex(pattern, fullmatch=True))


register()


@schemathesis.check
def schema_keeps_its_word(_context: Any, response: Any, case: Any) -> None:
    """Valid requests may violate a business rule (422), but never the schema of the service."""
    if response.status_code == 422 and case.meta and case.meta.generation.mode.is_positive:
        problem = response.json()
        # Patterns leave characters beyond U+FFFF out.
        if {"hidden_character"} != {error["code"] for error in problem.get("errors", [])}:
            detail = problem["detail"]
            assert detail != "The request is not valid; see errors", "The document allows this"


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Skip requests that repeat a query parameter: only the last value is used, and may be valid."""
    return not any(isinstance(value, list | dict) for value in (case.query or {}).values())


@schemathesis.hook
def before_call(_context: Any, case: Any, _options: dict[str, Any]) -> None:
    """Replace well-formed values that depend on earlier requests, and would be refused."""
    # Only an earlier page returns valid cursors. Cursors that violate the schema are kept.
    if case.meta is None or case.meta.generation.mode.is_positive:
        case.query.pop("cursor", None)
    # Only a read of the resource returns a valid ETag.
    case.headers.pop("If-Match", None)
    # A key must not be used for two requests.
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    adapt(case)
