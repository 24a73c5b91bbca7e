"""Where Prometheus scrapes the metrics: at `/metrics` of the service, or on a port of their own.

Nothing here imports prometheus-client before metrics are turned on.
"""

import logging
import sys
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import ConfigurationError, Settings
from app.core.http.paths import route_path
from app.core.observability.metrics.folder import share_metrics

if TYPE_CHECKING:
    from app.core.observability.metrics.observer import Metrics

_logger: Final = logging.getLogger(__name__)

PATH: Final = "/metrics"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

# Of the port of its own: seconds that a connection may be silent, for which Prometheus waits by default, and
# connections at a time, which have a thread each. A few Prometheus servers scrape, for a moment each.
_TIMEOUT: Final = 10
_MAX_CONNECTIONS: Final = 8


def make_metrics(settings: Settings) -> "Metrics | None":
    """Return metrics, or None if they are off. Raises `ConfigurationError` as `share_metrics` does."""
    if not settings.has_metrics:
        return None
    folder = share_metrics()
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
        response = Response(text, media_type=self._metrics.media_type, headers=_HEADERS)
        await response(scope, receive, send)


@contextmanager
def serve_metrics(metrics: "Metrics", port: int) -> Generator[None]:
    """Serve `/metrics` on a port of all network interfaces, in threads, until the block ends.

    It listens on IPv6 and IPv4 where the machine has both. Connections beyond `_MAX_CONNECTIONS` are
    closed. Several processes share the port, and any of them responds. Raises `RuntimeError` if the
    port cannot be used.
    """
    # Imported here, because few services need them.
    import socket
    from http.server import BaseHTTPRequestHandler
    from socketserver import ThreadingTCPServer
    from threading import Semaphore

    has_both = socket.has_dualstack_ipv6()
    free = Semaphore(_MAX_CONNECTIONS)

    class Scrape(BaseHTTPRequestHandler):
        timeout = _TIMEOUT

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != PATH:
                self.send_error(404)
                return
            text = metrics.scrape()
            self.send_response(200)
            headers = {"Content-Type": metrics.media_type, "Content-Length": str(len(text))}
            for name, value in (headers | _HEADERS).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (of the base class)
            """Log nothing: there is a scrape every few seconds."""

    class Server(ThreadingTCPServer):
        address_family = socket.AF_INET6 if has_both else socket.AF_INET
        allow_reuse_address = sys.platform != "win32"  # where it would share the port
        allow_reuse_port = metrics.registry.is_shared
        daemon_threads = True

        def server_bind(self) -> None:
            if has_both:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            super().server_bind()

        def verify_request(self, *_: object) -> bool:
            return free.acquire(blocking=False)

        def finish_request(self, *connection: Any) -> None:
            try:
                super().finish_request(*connection)
            finally:
                free.release()

        def handle_error(self, *_: object) -> None:
            """Log an error, which the base class would print."""
            _logger.warning("A scrape of the metrics failed", exc_info=True)

    try:
        server = Server(("", port), Scrape)
    except OSError as error:
        raise RuntimeError(f"METRICS: port {port} cannot be used: {error.strerror}") from error
    with server:
        thread = Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
