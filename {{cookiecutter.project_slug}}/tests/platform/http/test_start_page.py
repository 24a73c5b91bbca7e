import httpx
import pytest
from fastapi import FastAPI


async def test_browser_is_sent_to_the_documentation(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/", headers={"Accept": "text/html,*/*;q=0.8"})

    assert response.status_code == 307
    assert response.headers["location"] == "/docs"
    assert (await anonymous.get(response.headers["location"])).status_code == 200


async def test_program_is_told_where_the_documentation_is(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/")

    assert response.status_code == 200
    assert response.json().items() >= {"docs": "/docs", "openapi": "/openapi.json"}.items()
    assert response.headers["vary"] == "Accept"
    assert (await anonymous.head("/")).status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize(("root_path", "path"), [("/shop", "/shop/"), ("/shop/", "/")])
async def test_paths_are_those_behind_a_proxy(
    app: FastAPI, accept: str, root_path: str, path: str
) -> None:
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get(path, headers={"Accept": accept})

    assert "/shop/docs" in response.headers.get("location", response.text)
