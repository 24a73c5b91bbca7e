"""Conditional requests (RFC 9110, section 13).

The strong entity tag of a row is its version, or the number of `etag_of` (`app/models/base.py`) if
its representation also changes without a new version.
"""

import re
from typing import Any, Final, cast

from fastapi import FastAPI, Request, Response

from app.core.http.problem_declarations import ETAG

_TAG: Final = re.compile(r'(?P<weak>W/)?"(?P<version>[^"]*)"')

_VERSION: Final = re.compile("[0-9]{1,19}(-.*)?")  # Python refuses to read very many digits

# The `responses` of a route that reads one row.
NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The resource still has the `ETag` in If-None-Match", "headers": ETAG}
}


class NotModified(Exception):  # noqa: N818 (a response rather than an error)
    """The client already has the current version."""

    def __init__(self, etag: str) -> None:
        self.etag = etag


def set_etag(request: Request, response: Response, version: int | str) -> None:
    """Set the `ETag` header. Raises `NotModified` if the client already has this version.

    `"3-12"` is version 3 of the row, then a tag for other data in the response; `If-Match` ignores
    the suffix.
    """
    etag = f'"{version}"'
    held = ", ".join(request.headers.getlist("If-None-Match"))  # one list (RFC 9110, section 5.3)
    if held and request.method == "GET" and (held.strip() == "*" or etag in _etags(held)):
        raise NotModified(etag)
    response.headers["ETag"] = etag


def parse_if_match(if_match: str) -> frozenset[int] | None:
    """Return the versions that an `If-Match` header names, or None for any version (`*`).

    A weak tag never matches (section 13.1.1), nor does one that this service did not make.
    """
    if if_match.strip() == "*":
        return None
    tags = _TAG.finditer(if_match)
    return frozenset(
        int(tag["version"].partition("-")[0])
        for tag in tags
        if not tag["weak"] and _VERSION.fullmatch(tag["version"])
    )


def _etags(header: str) -> set[str]:
    """Return the tags of a list, weak ones as strong: `If-None-Match` compares weakly."""
    return {f'"{tag["version"]}"' for tag in _TAG.finditer(header)}


async def _not_modified(_request: Request, error: Exception) -> Response:
    return Response(status_code=304, headers={"ETag": cast("NotModified", error).etag})


def install_not_modified_handler(app: FastAPI) -> None:
    """Respond to `NotModified` with a 304."""
    app.add_exception_handler(NotModified, _not_modified)
