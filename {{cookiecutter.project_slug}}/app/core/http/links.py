"""Headers with URLs, all relative to the host so that they are valid behind any proxy."""

from urllib.parse import quote, urlencode

from fastapi import Request, Response

from app.core.http.paths import public_path


def set_location(request: Request, response: Response, row_id: int) -> None:
    """Set `Location` to the resource that a POST to its collection has created (RFC 9110)."""
    response.headers["Location"] = f"{_path(request)}/{row_id}"


def set_next_link(request: Request, response: Response, cursor: str | None) -> None:
    """Set `Link` to the next page of a list, if there is one (RFC 8288)."""
    if cursor:
        others = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
        query = urlencode([*others, ("cursor", cursor)])
        response.headers["Link"] = f'<{_path(request)}?{query}>; rel="next"'


def _path(request: Request) -> str:
    return quote(public_path(request.scope))
