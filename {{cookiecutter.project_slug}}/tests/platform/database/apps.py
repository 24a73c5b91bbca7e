"""What tests of sessions share."""

from fastapi import FastAPI
from sqlalchemy import select, text

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.http.edge import EdgeRoute
from app.main import create_app
from app.models.user import User


def edged(settings: Settings, database: Database | None = None) -> FastAPI:
    """Return an app whose further routes have the edge, as routers declare it for theirs."""
    app = create_app(settings)
    app.router.route_class = EdgeRoute
    if database:
        app.state.database = database
    return app


async def count_users(database: Database) -> int:
    async with database.read() as session:
        return len((await session.scalars(select(User.id))).all())


async def run(database: Database, *statements: str) -> None:
    async with database.writer.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
