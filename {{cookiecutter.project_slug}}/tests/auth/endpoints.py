from dataclasses import dataclass

from tests.endpoints import Endpoint


@dataclass(frozen=True)
class AccountEndpoint(Endpoint):
    """An endpoint with rules of its own on who may call it.

    `statuses` are what an anonymous caller, another user, the owner and an admin get.
    """

    statuses: tuple[int, int, int, int] | None = None
    measured_as: str | None = None
