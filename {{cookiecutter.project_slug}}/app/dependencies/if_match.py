from typing import Annotated

from fastapi import Depends, Header, Request

from app.core.config import Settings
from app.core.http.conditional_requests import parse_if_match
from app.core.http.problem_declarations import may_respond
from app.exceptions import PreconditionRequiredError


@may_respond(412, 428)
async def get_if_match(
    request: Request,
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="Change the resource only if it still has this `ETag`, else 412.",
        ),
    ] = None,
) -> frozenset[int] | None:
    """Return the versions that the request may change, or None for any version.

    Raises `PreconditionRequiredError` if the header is missing and the settings require it.
    """
    settings: Settings = request.app.state.settings
    if if_match is not None:
        # All lines: FastAPI's parameter is the first one.
        return parse_if_match(", ".join(request.headers.getlist("If-Match")))
    if settings.require_if_match:
        raise PreconditionRequiredError("Send the ETag that you have read in If-Match")
    return None


IfMatch = Annotated[frozenset[int] | None, Depends(get_if_match)]
