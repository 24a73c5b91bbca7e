"""Which versions of IP the machine has."""

import socket


def has_ipv6() -> bool:
    """Return whether a server at `::1` can be reached."""
    try:
        with (
            socket.create_server(("::1", 0), family=socket.AF_INET6) as server,
            socket.create_connection(server.getsockname()[:2], timeout=1),
        ):
            return True
    except OSError:
        return False
