"""The response to `/`, the URL that a person opens first."""

from typing import cast

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.routing import Mount

from app.core.http.paths import prefix


def install_start_page(app: FastAPI) -> None:
    """Send browsers to the documentation, and tell programs where it is.

    Call it after the routers are included, so that a route of the project for `/` wins. So does an
    application that is mounted there, also later.
    """
    app.add_route("/", _start, methods=["GET"], include_in_schema=False)


async def _start(request: Request) -> Response:
    app: FastAPI = request.app
    for route in app.routes:
        if isinstance(route, Mount) and not route.path:
            request.scope["endpoint"] = route.app
            return cast("Response", route.app)  # a response is an ASGI application, too
    root = prefix(request.scope)
    paths = {"docs": app.docs_url, "openapi": app.openapi_url}
    links = {name: f"{root}{path}" for name, path in paths.items() if path}
    vary = {"Vary": "Accept"}
    if "docs" in links and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(links["docs"], headers=vary)
    return JSONResponse({"title": app.title, "version": app.version, **links}, headers=vary)
