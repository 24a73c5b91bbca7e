"""Who sent a request, as far as the network says."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MAX_USER_AGENT = 255


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """Where a request came from: the network address and the program, as far as they are known.

    `address` is an IP address in its shortest form, or empty. `user_agent` is what the client
    says of itself, of at most 255 printable characters.
    """

    address: str
    user_agent: str

    @classmethod
    def of(cls, host: str | None, user_agent: str) -> "ClientInfo":
        """Make something of what the server knows, and of whatever the client has sent."""
        printable = (character if character.isprintable() else "?" for character in user_agent)
        return cls(_normalize(host or ""), "".join(printable)[:MAX_USER_AGENT])

    @property
    def network(self) -> str:
        """What counts as one client where addresses are limited.

        Of IPv6 that is the /64: everybody has 2^64 addresses there, and can use one for each try.
        """
        if ":" not in self.address:
            return self.address
        prefix = int(IPv6Address(self.address)) >> 64
        return f"{IPv6Address(prefix << 64)}/64"


def _normalize(host: str) -> str:
    """Return an address as everybody writes it, and IPv4 within IPv6 as IPv4."""
    try:
        address = ip_address(host.partition("%")[0])  # without the interface of a link
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
