"""Middleware around the application: trusted proxies, security headers, CORS.

It also applies to responses to unexpected errors, which are created outside of it
(`app.core.observability.requests`).
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import Settings
from app.core.http.cross_origin import CrossOriginMiddleware
from app.core.http.security_headers import ForwardedHeaders, SecurityHeadersMiddleware

Responder = Callable[[Request, Exception], Awaitable[Response]]


def install_perimeter(app: FastAPI, settings: Settings, respond_to_error: Responder) -> Responder:
    """Add the middleware that the settings ask for.

    Call it after other calls of `app.add_middleware`: the last one added is the outermost.
    `respond_to_error` creates the response to an unexpected error. Return the same, sent through the
    middleware.
    """
    layers = [_security_headers(app, settings)]
    if settings.cors_origins:
        layers.append(_cors(settings))
    for layer in reversed(layers):
        app.add_middleware(layer.cls, *layer.args, **layer.kwargs)
    if settings.trusted_proxies:
        # Imported here because it imports all of uvicorn.
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        trusted = [str(network) for network in settings.trusted_proxies]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)

    async def respond(request: Request, error: Exception) -> Response:
        return _Surrounded(await respond_to_error(request, error), layers)

    return respond


class _Surrounded(Response):
    """A response that is sent through middleware."""

    def __init__(self, response: Response, layers: list[Middleware]) -> None:
        super().__init__(status_code=response.status_code)
        self._app: ASGIApp = response
        for layer in reversed(layers):
            self._app = layer.cls(self._app, *layer.args, **layer.kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _security_headers(app: FastAPI, settings: Settings) -> Middleware:
    return Middleware(
        SecurityHeadersMiddleware,
        settings=settings,
        forwarded=ForwardedHeaders(),
        documentation={app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url},
    )


def _cors(settings: Settings) -> Middleware:
    """Allow calls from the pages of other origins, without cookies."""
    return Middleware(
        CrossOriginMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=settings.cors_methods,
        allow_headers=settings.cors_headers,
        expose_headers=settings.cors_exposed_headers,
    )
