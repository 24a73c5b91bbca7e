"""An article refers to posts of its own tenant only."""

from typing import Any

from tests.test_tenants import World, database, isolated, owner, world

__all__ = ["database", "isolated", "owner", "world"]  # fixtures


def new_article(world: World, post_id: int) -> dict[str, Any]:
    return {"author_id": world.ours.user.id, "post_id": post_id, "title": "Title"}


async def test_article_of_another_tenant_is_neither_seen_nor_found(world: World) -> None:
    async with world.client(world.ours.headers) as client:
        body = new_article(world, world.ours.post.id)
        article = (await client.post("/articles", json=body)).json()
        assert [one["id"] for one in (await client.get("/articles")).json()["items"]] == [
            article["id"]
        ]
    for headers in ({}, world.theirs.headers):
        async with world.client(headers) as client:
            assert (await client.get("/articles")).json()["items"] == []
            assert (await client.get(f"/articles/{article['id']}")).status_code == 404


async def test_post_of_another_tenant_is_as_if_it_did_not_exist(world: World) -> None:
    async with world.client(world.ours.headers) as client:
        responses = [
            await client.post("/articles", json=new_article(world, post_id))
            for post_id in (world.theirs.post.id, 2**40)
        ]

    problems = [response.json() | {"request_id": None} for response in responses]
    assert problems[0] == problems[1]
    assert problems[0]["status"] == 404


async def test_post_with_an_article_is_not_deleted(world: World) -> None:
    async with world.client(world.ours.headers) as client:
        await client.post("/articles", json=new_article(world, world.ours.post.id))
        response = await client.delete(f"/posts/{world.ours.post.id}")

    assert (response.status_code, response.json()["code"]) == (409, "CONFLICT")
    assert response.json()["detail"].endswith("still has articles")
