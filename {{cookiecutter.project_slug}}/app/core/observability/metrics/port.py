"""The metrics on a port of their own.

Imported only if a setting asks for it, because it imports Python's HTTP server.
"""

import logging
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from app.core.observability.metrics.endpoint import HEADERS, PATH

if TYPE_CHECKING:
    from app.core.observability.metrics.observer import Metrics

_logger: Final = logging.getLogger(__name__)

# Seconds that a connection has for its request and the response. Prometheus has the same timeout by
# default.
_TIMEOUT: Final = 10

# Each connection has a thread. Few Prometheus servers scrape, each for a moment.
_MAX_CONNECTIONS: Final = 8


@contextmanager
def serve_metrics(metrics: "Metrics", port: int) -> Generator[None]:
    """Serve `/metrics` on a port of all network interfaces, in threads, until the block ends.

    It listens on IPv6 and IPv4 where the machine has both. Several processes share the port, and any
    of them responds. Raises `RuntimeError` if the port cannot be used.
    """
    try:
        server = MetricsServer(metrics, port)
    except OSError as error:
        raise RuntimeError(f"METRICS: port {port} cannot be used: {error.strerror}") from error
    # If this is the port of the service, too, Uvicorn's error will not name the setting.
    _logger.info("METRICS: %s is on port %d", PATH, port)
    with server:
        thread = Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class MetricsServer(ThreadingTCPServer):
    """Responds to scrapes. Connections beyond `_MAX_CONNECTIONS` are closed, and those that last too long."""

    allow_reuse_address = sys.platform != "win32"  # where it would share the port
    daemon_threads = True

    def __init__(self, metrics: "Metrics", port: int) -> None:
        self.metrics = metrics
        self.allow_reuse_port = metrics.registry.is_shared
        self._has_both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if self._has_both else socket.AF_INET
        self._deadlines: dict[Any, float] = {}  # of the connections that are open
        super().__init__(("", port), _Scrape)

    def server_bind(self) -> None:
        """Accept IPv4 as well."""
        if self._has_both:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread, unless there are enough."""
        if len(self._deadlines) < _MAX_CONNECTIONS:
            self._deadlines[request] = time.monotonic() + _TIMEOUT
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End connections that are open for too long. The server calls it ten times a second."""
        now = time.monotonic()
        for connection, deadline in list(self._deadlines.items()):
            if deadline < now:
                with suppress(OSError):  # its thread has just closed it
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Log an error, which the base class would print, unless the client has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            _logger.warning("A scrape of the metrics failed", exc_info=True)


class _Scrape(BaseHTTPRequestHandler):
    server: MetricsServer

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        metrics = self.server.metrics
        text = metrics.scrape()
        self.send_response(200)
        headers = {"Content-Type": metrics.media_type, "Content-Length": str(len(text))}
        for name, value in (headers | HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (of the base class)
        """Log nothing: there is a scrape every few seconds."""
