"""The baked app with a list that returns as many posts as it is asked for: its own ends at 100."""

from app.asgi import app
from app.routes.posts import PublicPostServiceDep
from app.schemas.page import Page
from app.schemas.post import PostResponse


@app.get("/thousand")
async def list_posts(posts: PublicPostServiceDep, limit: int) -> Page[PostResponse]:
    page = await posts.list_posts(
        sort="-created_at", limit=limit, cursor=None, author_id=None, text=None
    )
    return Page[PostResponse].model_validate(page)
