"""Additions to the OpenAPI document that FastAPI generates."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from app.core.http.edge import SAFE_METHODS, dependencies, wants_session
from app.core.http.problem_declarations import (
    add_problem_schema,
    declared_statuses,
    problem_responses,
)

_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A unique name of this request. Repeating it returns the first response.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
}


def link_to(resource: str) -> dict[int | str, dict[str, Any]]:
    """Return `responses` that link a POST to the `read_`, `update_` and `delete_` operations."""
    parameters = {f"{resource}_id": "$response.body#/id"}
    return {
        201: {
            "headers": {"Location": {"schema": {"type": "string"}}},
            "links": {
                f"{verb}_{resource}": {
                    "operationId": f"{verb}_{resource}",
                    "parameters": parameters,
                }
                for verb in ("read", "update", "delete")
            },
        }
    }


def install_openapi(app: FastAPI) -> None:
    """Add the problems and the Idempotency-Key that follow from each route's dependencies."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            add_problem_schema(document)
            for context, method, operation in _operations(app, document):
                _complete(app, operation, context, method)
            _prefix_token_urls(document, app.state.settings.api_prefix)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def send_document(request: Request) -> JSONResponse:
    """Respond with the OpenAPI document, with URLs as the client sees them behind `root_path`.

    FastAPI's own route prefixes the servers, but not the URLs of the security schemes.
    """
    document = request.app.openapi()
    root_path = request.scope.get("root_path", "").rstrip("/")
    if root_path:
        document = deepcopy(document)
        document["servers"] = [{"url": root_path}, *document.get("servers", [])]
        _prefix_token_urls(document, root_path)
    return JSONResponse(document)


def _operations(
    app: FastAPI, document: dict[str, Any]
) -> Iterator[tuple[RouteContext, str, dict[str, Any]]]:
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute) or not context.include_in_schema:
            continue
        for method in context.methods or ():
            yield context, method, document["paths"][context.path_format][method.lower()]


def _complete(app: FastAPI, operation: dict[str, Any], context: RouteContext, method: str) -> None:
    """Add the problems of a route's dependencies, and its Idempotency-Key."""
    needs = dependencies(context.dependant)
    statuses = {status for call in needs if call for status in declared_statuses(call)}
    if "{" in (context.path or ""):
        statuses.add(404)
    if wants_session(context.dependant) and method not in SAFE_METHODS:
        statuses |= {404, 409}  # constraint violations
        if method == "POST":
            operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
            statuses.update(declared_statuses(app.state.read_idempotency_key))
    for status, declaration in problem_responses(*sorted(statuses)).items():
        operation["responses"].setdefault(str(status), declaration)


def _prefix_token_urls(document: dict[str, Any], prefix: str) -> None:
    """Prefix the URLs of security schemes, which are declared before the prefix is known."""
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        for flow in scheme.get("flows", {}).values():
            for name in ("authorizationUrl", "tokenUrl", "refreshUrl"):
                if name in flow and "://" not in flow[name]:  # else of another service
                    flow[name] = f"{prefix}/{flow[name].removeprefix('/')}"
