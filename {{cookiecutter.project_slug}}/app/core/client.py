from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from: the network address and the program, as far as they are known."""

    address: str
    user_agent: str
