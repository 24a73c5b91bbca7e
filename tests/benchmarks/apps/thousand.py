"""The baked app with a list that returns as many posts as it is asked for: its own ends at 100."""

from app.asgi import app
from app.core.http.edge import EdgeRoute
from app.routes.posts import PublicPostServiceDep
from app.schemas.page import Page
from app.schemas.post_like import PostWithLikes
from fastapi import APIRouter

router = APIRouter(prefix="/thousand", route_class=EdgeRoute)


@router.get("")
async def list_posts(posts: PublicPostServiceDep, limit: int) -> Page[PostWithLikes]:
    page = await posts.list_posts(
        sort="-created_at", limit=limit, cursor=None, author_id=None, text=None
    )
    return Page[PostWithLikes].model_validate(page)


app.include_router(router)
