"""The application factory, where all parts are wired together."""

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app import __description__, __title__, __version__
from app.core.config import Settings, load_settings
from app.core.database import Database
from app.core.database.readiness import ReadinessProbe
from app.core.http.conditional_requests import install_not_modified_handler
from app.core.http.disconnects import CancelOnDisconnect
from app.core.http.draining import Draining
from app.core.http.edge import require_edge
from app.core.http.limits import QueryLimit
from app.core.http.openapi import install_openapi
from app.core.http.perimeter import install_perimeter
from app.core.http.problem_declarations import problem_responses
from app.core.http.problems import install_problem_handlers, respond_to_unexpected_error
from app.core.jobs.worker import Worker, working

# {%- if cookiecutter.use_auth +%}
from app.core.mail.mailer import make_mailer

# {%- endif +%}
from app.dependencies.caller import install_caller
from app.dependencies.idempotency import read_idempotency_key
from app.jobs import KINDS, SCHEDULES
from app.routes import HEALTH, ROUTERS


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application. It connects to nothing before its lifespan starts.

    Raises `ConfigurationError` if settings are not given and are missing or invalid in the
    environment.
    """
    settings = settings or load_settings(Settings)
    logging.getLogger("app").setLevel(settings.log_level)
    app = FastAPI(
        title=__title__,
        summary=__description__,
        version=__version__,
        lifespan=_lifespan,
        # Short operation ids, for generated clients and for links between operations.
        generate_unique_id_function=lambda route: route.name,
        # A redirect from /users/ to /users would cost clients a second request.
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.draining = Draining(settings.drain_seconds)
    app.state.readiness = ReadinessProbe(settings)
    app.state.read_idempotency_key = read_idempotency_key
    # {% if cookiecutter.use_auth %}
    app.state.mailer = make_mailer(settings)
    # {% endif %}
    app.add_middleware(CancelOnDisconnect)
    app.add_middleware(QueryLimit, limit=settings.max_query_bytes)
    install_perimeter(app, settings, respond_to_unexpected_error)
    install_caller(app, settings)
    install_problem_handlers(app)
    install_not_modified_handler(app)
    problems = problem_responses(400, 408, 413, 414, 422, 500, 503)
    for router in ROUTERS:
        app.include_router(router, prefix=settings.api_prefix, responses=problems)
    app.include_router(HEALTH)
    install_openapi(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the database while the application runs."""
    require_edge(app)
    app.state.database = Database(app.state.settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.state.database.dispose)
        if app.state.settings.worker_in_service:
            worker = Worker(app.state.settings, app.state.database, KINDS, SCHEDULES)
            await stack.enter_async_context(working(worker))
        stack.enter_context(app.state.draining.on_sigterm())
        yield
