"""The same list by SQLAlchemy Core."""

from bodies import Page, PostOut
from fastapi import APIRouter
from fastapi_core import NOBODY, PAGE, app, reads

router = APIRouter(prefix="/thousand")


@router.get("")
async def list_posts(limit: int) -> Page:
    async with reads.connect() as connection:
        rows = (await connection.execute(PAGE, NOBODY | {"n": limit})).all()
    return Page(items=[PostOut.model_validate(row) for row in rows], next_cursor=None)


app.include_router(router)
