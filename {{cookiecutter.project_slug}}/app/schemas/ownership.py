"""The owner of a new resource, in the body of a POST."""

from typing import Annotated

from pydantic import Field

from app.core.types import Id

OwnerId = Annotated[
    Id | None, Field(default=None, description="By default the caller.", examples=[1])
]
