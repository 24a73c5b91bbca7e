from dataclasses import dataclass

from tests.endpoints import Endpoint


@dataclass(frozen=True)
class AccountEndpoint(Endpoint):
    """An endpoint whose callers get other statuses than `Access` implies.

    `statuses` are those of an anonymous caller, another user, the owner and an admin.
    """

    statuses: tuple[int, int, int, int] | None = None
    measured_as: str | None = None
