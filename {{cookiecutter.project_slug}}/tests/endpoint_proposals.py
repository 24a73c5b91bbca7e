"""Proposals for the list `ENDPOINTS`, made by calling the endpoints."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from app.core.database import Database
from app.dependencies.caller import get_caller
from tests.callers import (
    CALLERS,
    expected_statuses,
    measured_as,
    statements_to_identify,
)
from tests.endpoints import (
    PARAMETER,
    Access,
    Arrange,
    Endpoint,
    depends_on,
    path_parameters,
    recorded_statements,
    routes,
)
from tests.factories import unique_number


async def propose(app: FastAPI, name: str, arrange: Arrange, database: Database) -> str:
    """Send the smallest request of the OpenAPI document as each caller, and return a line to paste."""
    unknown = sorted(set(PARAMETER.findall(name)) - path_parameters().keys())
    if unknown:
        return (
            f"    {name}: first add a function that writes the row of {', '.join(unknown)} to "
            "PATH_PARAMETERS, then run this test again"
        )

    async def measure(caller: str) -> tuple[Endpoint, int]:
        for is_new in (False, True):  # an earlier trial may have written the same unique value
            trial = Endpoint(name, Access.OPEN, 0, **example_request(app, name, is_new=is_new))
            send = await arrange(trial, caller)
            with recorded_statements(database) as statements:
                response = await send()
            if response.status_code != HTTPStatus.CONFLICT:
                break
        known = statements_to_identify(caller) if depends_on(routes(app)[name], get_caller) else 0
        return replace(trial, statements=len(statements) - known), response.status_code

    trials = {caller: await measure(caller) for caller in CALLERS}
    statuses = tuple(status for _, status in trials.values())
    endpoint = Endpoint(name, Access.OPEN, 0, min(statuses))
    candidates = [replace(endpoint, access=access) for access in Access]
    fitting = [one for one in candidates if expected_statuses(one) == statuses]
    endpoint = fitting[0] if fitting else endpoint
    trial, _ = trials[measured_as(endpoint)]
    arguments = [f'"{name}"', endpoint.access.name, f"statements={trial.statements}"]
    if endpoint.status != 200:
        arguments.append(f"status={endpoint.status}")
    arguments += [f"{kind}={body!r}" for kind in ("json", "data") if (body := getattr(trial, kind))]
    line = f"    Endpoint({', '.join(arguments)}),"
    return line if fitting else f"{line}  # but {dict(zip(CALLERS, statuses, strict=True))}"


def example_request(app: FastAPI, name: str, *, is_new: bool) -> dict[str, Any]:
    """Return the smallest body that the document describes, as `json` or `data`.

    With `is_new` its texts differ from those of earlier requests.
    """
    document = app.openapi()
    method, path = name.split()
    content = document["paths"][path][method.lower()].get("requestBody", {}).get("content", {})
    kinds = {"application/json": "json", "application/x-www-form-urlencoded": "data"}
    return {
        kinds[media_type]: _example(media["schema"], document, is_new=is_new)
        for media_type, media in content.items()
        if media_type in kinds
    }


def _example(
    schema: dict[str, Any], document: dict[str, Any], name: str = "", *, is_new: bool = False
) -> Any:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if name.endswith("_id"):
        return "{" + (name if name in path_parameters() else "user_id") + "}"
    for known in ("examples", "enum"):
        if known in schema:
            example = schema[known][0]
            is_text = known == "examples" and isinstance(example, str)
            return f"{example}{unique_number()}" if is_new and is_text else example
    for known in ("default", "const"):
        if known in schema:
            return schema[known]
    for known in ("anyOf", "oneOf", "allOf"):
        if known in schema:
            return _example(schema[known][0], document, is_new=is_new)
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            wanted = schema.get("required") or [*fields][:1]
            return {name: _example(fields[name], document, name, is_new=is_new) for name in wanted}
        case "array":
            item = _example(schema["items"], document, is_new=is_new)
            return [item] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string":
            number = unique_number()
            return f"new{number}@example.com" if schema.get("format") == "email" else f"A {number}"
    return None
