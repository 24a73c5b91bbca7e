from typing import Annotated

from pydantic import StringConstraints

from app.core.types import VisibleText
from app.schemas.base import RequestBody, ResponseBody


class HintCreate(RequestBody):
    """POST body."""

    text: Annotated[VisibleText, StringConstraints(min_length=1, max_length=200)]


class HintResponse(ResponseBody):
    id: int
    text: str
