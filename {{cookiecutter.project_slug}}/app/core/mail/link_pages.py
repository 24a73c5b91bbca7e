"""Pages for the links in mails, in development (`MAIL_DELIVERY=console`).

In production they are the frontend's.
"""

from pathlib import Path
from string import Template
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from app.core.http.paths import prefix

_PAGE: Final = Template(Path(__file__).with_name("link_pages.html").read_text(encoding="utf-8"))
_PATHS: Final = ("/verify-email", "/password-reset", "/register")
_POLICY: Final = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def install_link_pages(app: FastAPI) -> None:
    """Serve the pages if MAIL_DELIVERY is `console`."""
    if app.state.settings.mail_delivery != "console":
        return

    async def page(request: Request) -> HTMLResponse:
        api_prefix = prefix(request.scope) + app.state.settings.api_prefix
        html = _PAGE.substitute(api_prefix=api_prefix)
        return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY})

    for path in _PATHS:
        app.add_route(path, page, methods=["GET"], include_in_schema=False)
