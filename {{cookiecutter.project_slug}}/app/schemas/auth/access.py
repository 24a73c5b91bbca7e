"""Bodies of requests that change access."""

from typing import Literal

from app.schemas.base import PatchBody

Role = Literal["user", "admin"]


class AccessPatch(PatchBody):
    """PATCH body."""

    role: Role | None = None
    is_active: bool | None = None
