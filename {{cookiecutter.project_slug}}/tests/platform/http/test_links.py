"""Headers that hold URLs."""

from fastapi import Request, Response

from app.core.http.links import set_location


def test_location_is_a_path_as_it_is_sent() -> None:
    request = Request({"type": "http", "path": "/łodzie\r\nSet-Cookie: a=b", "headers": []})
    response = Response()

    set_location(request, response, 7)

    assert response.headers["location"] == "/%C5%82odzie%0D%0ASet-Cookie%3A%20a%3Db/7"
