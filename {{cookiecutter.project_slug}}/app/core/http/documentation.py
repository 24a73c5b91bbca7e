"""The documentation: Swagger UI at `/docs`, and the OpenAPI document that it shows.

Everything is served by this service, so the page needs no other host and works without a network.
"""

from html import escape
from pathlib import Path
from string import Template
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from app.core.http.openapi import send_document
from app.exceptions import NotFoundError

_HERE: Final = Path(__file__).parent
_PAGE: Final = Template((_HERE / "documentation.html").read_text(encoding="utf-8"))
# Swagger UI has its images in its style sheet, as data.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# With their types, which the platform may not know, and without which browsers refuse them.
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

    async def file(request: Request) -> Response:
        name: str = request.path_params["name"]
        if name not in _FILES:
            raise NotFoundError("The documentation has no such file")
        response = await files.get_response(name, request.scope)
        response.headers["Content-Type"] = _FILES[name]
        response.headers["Cache-Control"] = "no-cache"  # their names stay with a new version
        return response

    app.add_route("/docs", page, methods=["GET"], include_in_schema=False)
    app.add_route("/docs/{name}", file, methods=["GET"], include_in_schema=False)
    app.add_route("/openapi.json", send_document, methods=["GET"], include_in_schema=False)
