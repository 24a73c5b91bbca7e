"""The response to `/`, the URL that a person opens first."""

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import Final, cast

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from app.core.http.paths import prefix

_PAGE: Final = Template(Path(__file__).with_name("start_page.html").read_text(encoding="utf-8"))
_STYLE: Final = _PAGE.template.partition("<style>")[2].partition("</style>")[0]
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# In `Accept`, unless its quality is zero (RFC 9110, section 12.4.2).
_HTML: Final = re.compile(r"text/html(?![^,]*;\s*q=0(\.0*)?\s*([,;]|$))", re.IGNORECASE)
# Only the paths that the service has are linked.
_LINKS: Final = {
    "docs": ("/docs", "Documentation, where every route can be tried"),
    "openapi": ("/openapi.json", "OpenAPI document, from which clients are generated"),
    "health": ("/health/ready", "Whether the service can reach its database"),
    "metrics": ("/metrics", "Metrics for Prometheus"),
}
# What a developer types next.
_COMMANDS: Final = {
    "uv run app new article title:str:200 author:user": "write a resource: model, routes, tests",
    'uv run app revision -m "add nickname"': "write a migration from models",
    "uv run pytest": "run the tests",
    "uv run app --help": "list all commands",
}


def install_start_page(app: FastAPI) -> None:
    """Show developers where to go next, and tell programs where the documentation is.

    Call it after the routers are included, so that the project's own route for `/` wins. An
    application mounted at `/` wins too, even if it is mounted later.
    """
    app.add_route("/", _start, methods=["GET"], include_in_schema=False)


async def _start(request: Request) -> Response:
    app: FastAPI = request.app
    for route in app.routes:
        if isinstance(route, Mount) and not route.path:
            request.scope["endpoint"] = route.app
            return cast("Response", route.app)  # a response is an ASGI application, too
    links = dict(_links(app, prefix(request.scope)))
    vary = {"Vary": "Accept"}
    accept = ", ".join(request.headers.getlist("Accept"))
    if app.state.settings.development and _HTML.search(accept):
        return HTMLResponse(_html(app, links), headers={"Content-Security-Policy": _POLICY} | vary)
    return JSONResponse({"title": app.title, "version": app.version, **links}, headers=vary)


def _links(app: FastAPI, root: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the URL of each path of `_LINKS` that the service has."""
    paths = {context.path for context in iter_route_contexts(app.routes)}
    if app.state.metrics and not app.state.settings.metrics_port:
        paths.add("/metrics")  # middleware, not a route
    for name, (path, _) in _LINKS.items():
        if path in paths:
            yield name, f"{root}{path}"


def _html(app: FastAPI, links: dict[str, str]) -> str:
    items = [
        f'<li><a href="{escape(url)}">{escape(url)}</a> {escape(_LINKS[name][1])}</li>'
        for name, url in links.items()
    ]
    commands = [
        f"<dt><code>{escape(command)}</code></dt><dd>{escape(purpose)}</dd>"
        for command, purpose in _COMMANDS.items()
    ]
    return _PAGE.substitute(
        title=escape(app.title),
        description=escape(app.description),
        version=escape(app.version),
        links="\n".join(items),
        commands="\n".join(commands),
    )
