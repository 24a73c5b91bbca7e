import httpx


async def test_note_is_listed(client: httpx.AsyncClient) -> None:
    created = await client.post("/notes", json={"text": "Buy bread"})

    assert created.status_code == 201
    assert (await client.get("/notes")).json()[0] == created.json()
    assert created.json()["text"] == "Buy bread"
