"""The documentation: Swagger UI at `/docs`, and the OpenAPI document that it shows.

Everything is served by this service, so the page needs no other host and works without a network.
"""

from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from app.core.http.openapi import send_document

_HERE: Final = Path(__file__).parent
_PAGE: Final = Template((_HERE / "documentation.html").read_text(encoding="utf-8"))
# Swagger UI has its images in its style sheet, as data, and shows images of responses as blobs.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# With their media types: the platform may not know them, and browsers refuse files without one.
_FILES: Final = {
    "documentation.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


def install_documentation(app: FastAPI) -> None:
    """Serve the documentation if DOCS is on.

    Call it before the routers are included, so that none of their paths hides it.
    """
    if not app.state.settings.serves_docs:
        return
    # Only the files of that package are used: its own page has an inline script.
    packages: list[str | tuple[str, str]] = [("fastapi_swagger", "resources")]
    files = StaticFiles(directory=_HERE, packages=packages, follow_symlink=True)

    async def page(_request: Request) -> HTMLResponse:
        html = _PAGE.substitute(title=escape(app.title))
        return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY})

    app.add_route("/docs", page, methods=["GET"], include_in_schema=False)
    for name, media_type in _FILES.items():
        send_file = _sender(files, name, media_type)
        app.add_route(f"/docs/{name}", send_file, methods=["GET"], include_in_schema=False)
    app.add_route("/openapi.json", send_document, methods=["GET"], include_in_schema=False)


def _sender(
    files: StaticFiles, name: str, media_type: str
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that sends a file, always whole.

    A function, because `SecurityHeaders` takes other callables for mounted applications.
    """

    async def send_file(request: Request) -> Response:
        # Starlette refuses ranges that it cannot satisfy, in plain text.
        request.scope["headers"] = [one for one in request.scope["headers"] if one[0] != b"range"]
        response = await files.get_response(name, request.scope)
        response.headers["Accept-Ranges"] = "none"
        response.headers["Content-Type"] = media_type
        response.headers["Cache-Control"] = "no-cache"  # a new version has the same names
        return response

    return send_file
