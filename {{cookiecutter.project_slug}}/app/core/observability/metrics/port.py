"""The metrics on a port of their own.

Imported only if a setting asks for it, because it imports Python's HTTP server.
"""

import logging
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any, Final

from app.core.observability.metrics.endpoint import HEADERS, PATH

if TYPE_CHECKING:
    from app.core.observability.metrics.observer import Metrics

_logger: Final = logging.getLogger(__name__)

# Seconds for which a connection may be silent. Prometheus waits as long by default.
_TIMEOUT: Final = 10

# At a time: each connection has a thread. A few Prometheus servers scrape, for a moment each.
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
    with server:
        thread = Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class MetricsServer(ThreadingTCPServer):
    """Responds to scrapes. Connections beyond `_MAX_CONNECTIONS` are closed."""

    allow_reuse_address = sys.platform != "win32"  # where it would share the port
    daemon_threads = True

    def __init__(self, metrics: "Metrics", port: int) -> None:
        self.metrics = metrics
        self.allow_reuse_port = metrics.registry.is_shared
        self._has_both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if self._has_both else socket.AF_INET
        self._free = Semaphore(_MAX_CONNECTIONS)
        super().__init__(("", port), _Scrape)

    def server_bind(self) -> None:
        """Accept IPv4 as well."""
        if self._has_both:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, connection: Any, *address: Any) -> None:
        """Start a thread, unless there are enough."""
        if self._free.acquire(blocking=False):
            super().process_request(connection, *address)
        else:
            connection.close()

    def finish_request(self, *connection: Any) -> None:
        """Respond, in the thread."""
        try:
            super().finish_request(*connection)
        finally:
            self._free.release()

    def handle_error(self, *_: object) -> None:
        """Log an error, which the base class would print."""
        _logger.warning("A scrape of the metrics failed", exc_info=True)


class _Scrape(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _TIMEOUT

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
