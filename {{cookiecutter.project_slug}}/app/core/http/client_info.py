"""The client of a request, as the network sees it."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MAX_USER_AGENT = 255


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """The IP address and the program of a client.

    `address` is in its shortest form, or empty if it is unknown. `user_agent` holds
    up to 255 printable characters of the `User-Agent` header.
    """

    address: str
    user_agent: str

    @classmethod
    def of(cls, host: str | None, user_agent: str) -> "ClientInfo":
        """Sanitize the address that the server reports and the header that the client sent."""
        printable = (character if character.isprintable() else "?" for character in user_agent)
        return cls(_normalize(host or ""), "".join(printable)[:MAX_USER_AGENT])

    @property
    def network(self) -> str:
        """The network to limit attempts by: the /64 of an IPv6 address, else the address.

        Every IPv6 client has at least a /64, so it can use a new address for each attempt.
        """
        if ":" not in self.address:
            return self.address
        prefix = int(IPv6Address(self.address)) >> 64
        return f"{IPv6Address(prefix << 64)}/64"


def _normalize(host: str) -> str:
    """Return an address in its shortest form, and an IPv4-mapped one as IPv4."""
    try:
        address = ip_address(host.partition("%")[0])  # without a zone index
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
