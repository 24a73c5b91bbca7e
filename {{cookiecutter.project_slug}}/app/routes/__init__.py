"""HTTP, and nothing else. Each module has a `router`; they are listed here, and only here."""

from typing import Final

from fastapi import APIRouter

from app.routes import accounts, health, posts, user_import, users

# {%- if cookiecutter.use_auth +%}
from app.routes.auth import access, recovery, sign_in

# {%- endif +%}

ROUTERS: Final[tuple[APIRouter, ...]] = (
    # A request is compared with routes in this order: put what is asked for most first.
    posts.router,
    accounts.router,
    users.router,
    user_import.router,
    # {% if cookiecutter.use_auth %}
    access.router,
    sign_in.router,
    recovery.router,
    # {% endif %}
)

# Without the settings' prefix: orchestrators and load balancers look there.
HEALTH: Final = health.router
