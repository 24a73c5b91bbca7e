from typing import Annotated

from fastapi import APIRouter, Depends, status

from app.core.http.edge import EdgeRoute
from app.core.types import Id
from app.dependencies.caller import require_user
from app.dependencies.pagination import PageLimit, PageNumber
from app.dependencies.services import public_service, service
from app.schemas.page import NumberedPage
from app.schemas.post_like import PostLikeResponse
from app.services.post_like_service import PostLikeService

# Part of the router of posts.
router = APIRouter(prefix="/{post_id:id}", route_class=EdgeRoute)

PostLikeServiceDep = Annotated[PostLikeService, Depends(service(PostLikeService))]
PublicPostLikeServiceDep = Annotated[PostLikeService, Depends(public_service(PostLikeService))]


@router.put("/like", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Depends(require_user)])
async def like_post(post_id: Id, likes: PostLikeServiceDep) -> None:
    """Like a post. Repeating it changes nothing."""
    await likes.like_post(post_id)


@router.delete(
    "/like", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Depends(require_user)]
)
async def unlike_post(post_id: Id, likes: PostLikeServiceDep) -> None:
    """Take your like back. Repeating it changes nothing."""
    await likes.unlike_post(post_id)


@router.get("/likes")
async def list_post_likes(
    post_id: Id, likes: PublicPostLikeServiceDep, page: PageNumber = 1, limit: PageLimit = 20
) -> NumberedPage[PostLikeResponse]:
    """List the users who like a post, newest first."""
    found = await likes.list_likes(post_id, page=page, limit=limit)
    return NumberedPage[PostLikeResponse].model_validate(found)
