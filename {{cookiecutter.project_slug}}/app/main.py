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
from app.core.http.documentation import install_documentation
from app.core.http.draining import Draining
from app.core.http.edge import require_edge
from app.core.http.openapi import install_openapi
from app.core.http.perimeter import INNERMOST, install_perimeter
from app.core.http.problem_declarations import problem_responses
from app.core.http.problem_handlers import install_problem_handlers, respond_to_unexpected_error
from app.core.http.start_page import install_start_page
from app.core.jobs.worker import Worker, settings_of_queue

# {%- if cookiecutter.use_auth +%}
from app.core.mail.link_pages import install_link_pages

# {%- endif +%}
from app.core.observability.install import Observability
from app.core.observability.metrics.endpoint import install_metrics_endpoint
from app.dependencies.caller import install_caller
from app.dependencies.idempotency import install_idempotency
from app.jobs import SCHEDULES, make_kinds
from app.jobs.running import make_job_metrics, running_jobs
from app.routes import HEALTH, ROUTERS


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application. It connects to nothing before its lifespan starts.

    Raises `ConfigurationError` if settings are not given and are missing or invalid in the
    environment, and for a kind of job that is not listed.
    """
    settings = settings or load_settings(Settings)
    logging.getLogger("app").setLevel(settings.log_level)
    observability = Observability(settings)
    app = FastAPI(
        title=__title__,
        description=__description__,
        version=__version__,
        lifespan=_lifespan,
        telemetry=observability.telemetry,
        # Short operation ids, for generated clients and for links between operations.
        generate_unique_id_function=lambda route: route.name,
        # A redirect from /users/ to /users would cost clients a second request.
        redirect_slashes=False,
        openapi_url=None,  # see install_documentation
        middleware=INNERMOST,
    )
    app.state.settings = settings
    app.state.observability = observability
    app.state.metrics = metrics = observability.metrics
    app.state.kinds = make_kinds(settings)  # also without a worker, for what it raises
    app.state.job_metrics = make_job_metrics(metrics) if settings.worker_in_service else None
    if settings.worker_in_service:
        settings_of_queue(settings)  # for the errors that it raises, so that `app check` finds them
    app.state.draining = Draining(settings.drain_seconds)
    app.state.readiness = ReadinessProbe(settings)
    install_idempotency(app)
    install_perimeter(app, settings, respond_to_unexpected_error, observability.observers)
    install_caller(app, settings)
    install_problem_handlers(app)
    install_not_modified_handler(app)
    install_documentation(app)
    problems = problem_responses(400, 408, 413, 414, 422, 500, 503)
    for router in ROUTERS:
        app.include_router(router, prefix=settings.api_prefix, responses=problems)
    app.include_router(HEALTH)
    install_start_page(app)
    # {% if cookiecutter.use_auth %}
    install_link_pages(app)
    # {% endif %}
    install_openapi(app)
    if metrics and not settings.metrics_port:
        install_metrics_endpoint(app, metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the database while the application runs."""
    require_edge(app)
    settings: Settings = app.state.settings
    app.state.database = database = Database(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.dispose)
        stack.push_async_callback(app.state.readiness.dispose)
        await app.state.readiness.report()
        await database.report_replica()
        await stack.enter_async_context(app.state.observability.running(database))
        if settings.worker_in_service:
            job_metrics = app.state.job_metrics
            observe = job_metrics.observe if job_metrics else None
            worker = Worker(settings, database, app.state.kinds, SCHEDULES, observe)
            await worker.check()
            await stack.enter_async_context(running_jobs(worker, database, job_metrics))
        stack.enter_context(app.state.draining.on_sigterm())
        yield
