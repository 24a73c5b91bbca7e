"""The baked app, with a GET that writes."""

from app.asgi import app
from app.core.http.edge import EdgeRoute
from app.dependencies.database import SessionDep
from fastapi import APIRouter
from sqlalchemy import text

router = APIRouter(route_class=EdgeRoute)


@router.get("/write")
async def write(session: SessionDep) -> None:
    await session.execute(text("UPDATE users SET display_name = 'Written'"))


app.include_router(router)
