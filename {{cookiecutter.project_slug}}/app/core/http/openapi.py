"""Additions to the OpenAPI document that FastAPI generates."""

import warnings
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from app import __author__, __author_email__, __license__
from app.core.http.edge import SAFE_METHODS, Claims, dependencies, wants_session
from app.core.http.paths import prefix
from app.core.http.problem_declarations import (
    ETAG,
    add_problem_schema,
    declared_statuses,
    needs_credentials,
    problem_responses,
)

_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Send the resource only if it no longer has this `ETag`, else 304.",
    "schema": {"type": "string"},
}
_LINK: Final = {
    "Link": {
        "description": "The next page, if there is one (RFC 8288).",
        "schema": {"type": "string"},
    }
}
_LOCATION: Final = {
    "Location": {"description": "The path of the new resource.", "schema": {"type": "string"}}
}
# Set without FastAPI, which refuses addresses such as those of `company.local`.
_INFO: Final = {
    "contact": {"name": __author__, "email": __author_email__},
    "license": {"name": __license__.removeprefix("LicenseRef-"), "identifier": __license__},
}
_SETTING: Final = "x-setting"  # of a response that a setting turns on


class Tag(str):
    """A name for `tags` of a router, with its description.

    Only one of the routers that share a tag needs the description.
    """

    def __new__(cls, name: str, _description: str) -> "Tag":
        return super().__new__(cls, name)

    def __init__(self, _name: str, description: str) -> None:
        self.description = description


def only_if(
    setting: str, responses: dict[int | str, dict[str, Any]]
) -> dict[int | str, dict[str, Any]]:
    """Return `responses` that are part of the document if a setting is on."""
    return {status: response | {_SETTING: setting} for status, response in responses.items()}


def link_to(resource: str) -> dict[int | str, dict[str, Any]]:
    """Return `responses` that link a POST to the `read_`, `update_` and `delete_` operations."""
    parameters = {f"{resource}_id": "$response.body#/id"}
    return {
        201: {
            "headers": _LOCATION | ETAG,
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
    """Add the problems and headers that follow from each route's dependencies and responses."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            with warnings.catch_warnings():
                # FastAPI gives all methods of a route one id, and warns of it.
                warnings.filterwarnings("ignore", "Duplicate Operation ID", UserWarning)
                document = generate()
            document["info"] |= _INFO
            document["servers"] = [{"url": "/"}]
            document["tags"] = _tags(app)
            for context, method, operation in _operations(app, document):
                _complete(app, operation, context, method)
            add_problem_schema(document)
            _prefix_token_urls(document, app.state.settings.api_prefix)
            _warn_of_duplicate_ids(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def send_document(request: Request) -> JSONResponse:
    """Respond with the OpenAPI document, with URLs as the client sees them behind `root_path`."""
    document = request.app.openapi()
    root = prefix(request.scope)
    if root:
        document = deepcopy(document)
        document["servers"] = [{"url": root}]
        _prefix_token_urls(document, root)
    return JSONResponse(document)


def _operations(
    app: FastAPI, document: dict[str, Any]
) -> Iterator[tuple[RouteContext, str, dict[str, Any]]]:
    """Yield each operation with its route and method: the last route of several, as FastAPI does."""
    found: dict[tuple[str, str], RouteContext] = {}
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute) or not context.include_in_schema:
            continue
        path = context.path_format or ""
        for method in context.methods or ():
            if (method, path) in found:
                warnings.warn(
                    f"Two routes are {method} {path}: requests get the first one that "
                    "matches, and the document describes the last one",
                    stacklevel=2,
                )
            found[method, path] = context
    for (method, path), context in found.items():
        yield context, method, document["paths"][path][method.lower()]


def _tags(app: FastAPI) -> list[dict[str, str]]:
    """Return the tags of all operations, in the order of the routers."""
    tags: dict[str, dict[str, str]] = {}
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute) and context.include_in_schema:
            for tag in context.tags:
                described = {"description": tag.description} if isinstance(tag, Tag) else {}
                tags.setdefault(str(tag), {"name": str(tag)}).update(described)
    return list(tags.values())


def _complete(app: FastAPI, operation: dict[str, Any], context: RouteContext, method: str) -> None:
    """Add what follows from a route's dependencies, and leave out what the settings turn off."""
    if len(context.methods or ()) > 1:
        operation["operationId"] += f"_{method.lower()}"
    responses = operation["responses"]
    for status in [status for status in responses if _SETTING in responses[status]]:
        if not getattr(app.state.settings, responses[status].pop(_SETTING)):
            del responses[status]
    needs = dependencies(context.dependant)
    if not any(map(needs_credentials, needs)):
        operation["security"] = [{}, *operation["security"]] if "security" in operation else []
    statuses = {status for call in needs if call for status in declared_statuses(call)}
    parameters = operation.setdefault("parameters", [])
    headers = _success_headers(parameters, responses, statuses)
    if "304" in responses:
        parameters.append(_IF_NONE_MATCH)
    if "{" in (context.path or ""):
        statuses.add(404)
    if wants_session(context.dependant) and method not in SAFE_METHODS:
        statuses |= {404, 409}  # constraint violations
        claims: Claims | None = getattr(app.state, "claims", None)
        if method == "POST" and claims:
            parameters.append(claims.parameter)
            headers |= claims.headers
            statuses.update(declared_statuses(claims.read))
    for status, declaration in problem_responses(*sorted(statuses)).items():
        responses.setdefault(str(status), declaration)
    for status, response in responses.items():
        if headers and status.startswith("2"):
            response["headers"] = headers | response.get("headers", {})


def _success_headers(
    parameters: list[dict[str, Any]], responses: dict[str, Any], statuses: set[int]
) -> dict[str, Any]:
    """Return the headers of successful responses: of resources with a version, and of pages."""
    headers: dict[str, Any] = {}
    if "304" in responses or (412 in statuses and "204" not in responses):
        headers |= ETAG
    if any(parameter["name"] == "cursor" for parameter in parameters):
        headers |= _LINK
    return headers


def _warn_of_duplicate_ids(document: dict[str, Any]) -> None:
    """Warn of operations with the same id, of which a generated client would have only one."""
    operations = [one for path in document["paths"].values() for one in path.values()]
    for name, count in Counter(one.get("operationId") for one in operations).items():
        if count > 1:
            warnings.warn(f"{count} operations are called {name}: rename functions", stacklevel=2)


def _prefix_token_urls(document: dict[str, Any], root: str) -> None:
    """Prefix the URLs of security schemes, which are declared before the prefix is known."""
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        for flow in scheme.get("flows", {}).values():
            for name in ("authorizationUrl", "tokenUrl", "refreshUrl"):
                if name in flow and "://" not in flow[name]:  # else of another service
                    flow[name] = f"{root}/{flow[name].removeprefix('/')}"
