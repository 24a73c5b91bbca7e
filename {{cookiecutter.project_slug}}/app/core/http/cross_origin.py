"""CORS: requests from the web pages of other origins."""

from fastapi import Request
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import Settings
from app.core.http.problems import problem_response


def allow_origins(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Let the pages of `CORS_ORIGINS` call the application, without cookies."""
    if not settings.cors_origins:
        return app
    return CrossOriginMiddleware(
        app,
        allow_origins=settings.cors_origins,
        allow_methods=settings.cors_methods,
        allow_headers=settings.cors_headers,
        expose_headers=settings.cors_exposed_headers,
    )


class CrossOriginMiddleware(CORSMiddleware):
    """Starlette's middleware, but it refuses preflight requests with a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and _is_preflight(scope):
            response = self.preflight_response(Headers(scope=scope))
            if response.status_code >= 400:
                response = _refusal(scope, response)
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "Origin" in headers and "Access-Control-Request-Method" in headers


def _refusal(scope: Scope, response: Response) -> Response:
    """Return the problem for a refused preflight request, with the CORS headers of the refusal."""
    reason = bytes(response.body).decode()
    return problem_response(
        Request(scope),
        status=response.status_code,
        detail=f"{reason}; see CORS_ORIGINS, CORS_METHODS and CORS_HEADERS of the service",
        headers={
            name: value
            for name, value in response.headers.items()
            if not name.startswith("content-")
        },
    )
