"""Bodies of requests that create and change users."""

from pydantic import EmailStr

from app.schemas.base import PatchBody, RequestBody
from app.schemas.user import DisplayName


class UserCreate(RequestBody):
    """POST body."""

    email: EmailStr
    display_name: DisplayName


class UserPatch(PatchBody):
    """PATCH body."""

    email: EmailStr | None = None
    display_name: DisplayName | None = None
