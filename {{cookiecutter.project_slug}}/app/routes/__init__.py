"""HTTP routes. Each module has a `router`, which is listed only here."""

from typing import Final

from fastapi import APIRouter

from app.routes import accounts, health, posts, user_import, users

ROUTERS: Final[tuple[APIRouter, ...]] = (
    # Routes are matched in this order, so the most frequently used ones come first.
    posts.router,
    *accounts.ROUTERS,
    users.router,
    user_import.router,
)

# Outside of API_PREFIX, for orchestrators and load balancers.
HEALTH: Final = health.router
