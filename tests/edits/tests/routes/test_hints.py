import httpx


async def test_hint_is_listed(client: httpx.AsyncClient) -> None:
    created = await client.post("/hints", json={"text": "Look up"})

    assert created.status_code == 201
    assert (await client.get("/hints")).json()[0] == created.json()
    assert created.json()["text"] == "Look up"
