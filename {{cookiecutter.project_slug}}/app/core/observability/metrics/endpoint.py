"""Where Prometheus scrapes the metrics: at `/metrics` of the service, or else on a port (`port.py`).

Nothing here imports prometheus-client before metrics are turned on.
"""

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import ConfigurationError, Settings
from app.core.http.paths import route_path
from app.core.observability.metrics.folder import NoRoomError, share_metrics

if TYPE_CHECKING:
    from app.core.observability.metrics.observer import Metrics

_logger: Final = logging.getLogger(__name__)

PATH: Final = "/metrics"
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def make_metrics(settings: Settings) -> "Metrics | None":
    """Return metrics, or None if they are off or there is no room for them.

    Raises `ConfigurationError` if they cannot be shared, or if their port is another service's.
    """
    if not settings.has_metrics:
        return None
    try:
        folder = share_metrics()
    except NoRoomError as error:  # better no metrics than no service
        _logger.error("%s", error)
        return None
    if folder and settings.metrics_port:
        folder.claim_port(settings.metrics_port)
    # Imported here, because it imports prometheus-client, which then looks for the folder.
    from app.core.observability.metrics.observer import Metrics

    return Metrics(folder)


def install_metrics_endpoint(app: FastAPI, metrics: "Metrics") -> None:
    """Respond to `GET /metrics`. Call it after other calls of `app.add_middleware`.

    Raises `ConfigurationError` if a route of the project has this path.
    """
    if any(context.path == PATH for context in iter_route_contexts(app.routes)):
        raise ConfigurationError(
            f"METRICS: {PATH} is a route of the project; set METRICS=off, or a port such as 9464"
        )
    app.add_middleware(MetricsEndpoint, metrics=metrics)


class MetricsEndpoint:
    """ASGI middleware, outside of all others: responds to `GET /metrics`.

    So a scrape is not counted, logged or traced as a request, and may name any host, such as the
    address of a pod.
    """

    def __init__(self, app: ASGIApp, metrics: "Metrics") -> None:
        self._app = app
        self._metrics = metrics

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if (
            scope["type"] == "http"
            and scope["path"].endswith(PATH)
            and route_path(scope) == PATH
            and scope["method"] in {"GET", "HEAD"}
        ):
            return self._respond(scope, receive, send)
        return self._app(scope, receive, send)  # no coroutine of its own around other requests

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = await run_in_threadpool(self._metrics.scrape)
        response = Response(text, media_type=self._metrics.media_type, headers=HEADERS)
        await response(scope, receive, send)
