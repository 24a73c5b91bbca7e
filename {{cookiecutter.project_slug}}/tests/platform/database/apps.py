"""Apps for tests of sessions."""

from fastapi import FastAPI
from sqlalchemy import select

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.database.statements import verbatim
from app.core.http.edge import EdgeRoute
from app.main import create_app
from app.models.user import User


def edged(settings: Settings, database: Database | None = None) -> FastAPI:
    """Return an app whose own routes are edge routes."""
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
            await connection.execute(verbatim(statement))
