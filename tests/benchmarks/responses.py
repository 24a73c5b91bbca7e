"""That the apps of the ladder respond alike: a comparison of unequal responses would compare the responses."""

import json
import re
import socket
import time
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from benchmarks.servers import Server

HEADERS = ("Content-Type", "ETag", "Location", "Link")


class DifferentResponsesError(Exception):
    """An app does not respond as the template does."""


@dataclass(frozen=True)
class Response:
    """What is compared of a response. A header that it lacks is None."""

    status: int
    headers: dict[str, str | None]
    body: Any

    def is_like(self, other: "Response") -> bool:
        """Say whether both promise the same.

        Who refuses a request says why in their own words, so that only the status has to be the
        same. Created rows differ in their numbers: ids, addresses and times.
        """
        if self.status == other.status and self.status >= 400:
            return True
        return self._without_numbers() == other._without_numbers()

    def _without_numbers(self) -> "Response":
        if self.status != 201:
            return self
        location = self.headers["Location"] or ""
        return Response(
            self.status,
            self.headers | {"Location": location.replace(str(self.body.get("id")), "0")},
            json.loads(re.sub(r"\d+", "0", json.dumps(self.body))),
        )

    def __str__(self) -> str:
        headers = [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join([str(self.status), *headers, json.dumps(self.body, ensure_ascii=False)])


def ask(server: Server, request: str) -> Response:
    """Send one of the load's requests and return the response."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request.replace("{n}", str(time.time_ns())).encode())
        response = HTTPResponse(connection)
        response.begin()
        headers = {name: response.headers[name] for name in HEADERS}
        return Response(response.status, headers, parsed(response.read().decode()))


def parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def compare(app: str, request: str, expected: Response, found: Response) -> None:
    """Raise `DifferentResponsesError` unless an app has responded as the template has."""
    if not found.is_like(expected):
        raise DifferentResponsesError(
            f"{app} does not respond as the template does. The request:\n\n{request}\n\n"
            f"The template:\n\n{expected}\n\n{app}:\n\n{found}"
        )
