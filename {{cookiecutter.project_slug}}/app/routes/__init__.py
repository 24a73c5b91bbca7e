"""HTTP routes. Each module has a `router`, which is listed only here."""

from typing import Final

from fastapi import APIRouter

from app.routes import accounts, health, posts, user_import, users

# {%- if cookiecutter.use_auth +%}
from app.routes.auth import access, email, password, sign_in

# {%- endif +%}

ROUTERS: Final[tuple[APIRouter, ...]] = (
    # Routes are matched in this order, so the most frequently used ones come first.
    posts.router,
    accounts.router,
    users.router,
    user_import.router,
    # {% if cookiecutter.use_auth %}
    access.router,
    sign_in.router,
    password.router,
    email.router,
    # {% endif %}
)

# Outside of API_PREFIX, for orchestrators and load balancers.
HEALTH: Final = health.router
