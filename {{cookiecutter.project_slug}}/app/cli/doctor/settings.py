"""Checks of the settings themselves."""

from collections.abc import Iterator, Sequence

from app.cli.doctor.accounts import weak_account_settings
from app.cli.doctor.findings import Examined, Finding, error, ok, warning
from app.core.config import ConfigurationError, Settings, load_settings


async def check_settings(examined: Examined) -> Sequence[Finding]:
    """Check that the service would start with the settings, as `app check` does, except for metrics."""
    from app.main import create_app

    problems = [*examined.problems]
    if examined.all_settings:
        # Metrics may write into a folder that they share with the running service.
        quiet = examined.all_settings.model_copy(update={"metrics": "off"})
        try:
            create_app(quiet)
        except ConfigurationError as refused:
            problems.append(str(refused))
    todo = "see .env.example (`app dev` needs none)"
    return [error(problem, todo) for problem in problems] or [ok("valid")]


async def check_weak_settings(examined: Examined) -> Sequence[Finding]:
    """Look for settings that the service accepts, but that make it easier to attack."""
    settings = examined.settings
    found = [
        *_unsafe_in_production(settings),
        *_open_to_all(settings),
        *weak_account_settings(settings),
    ]
    return found or [ok("none")]


def _unsafe_in_production(settings: Settings) -> Iterator[Finding]:
    """Yield what the settings would be refused for without DEVELOPMENT."""
    if not settings.development:
        return
    yield warning("DEVELOPMENT is on, which accepts unsafe settings", "remove it in production")
    try:
        load_settings(Settings, development=False)
    except ConfigurationError as refused:
        for problem in str(refused).splitlines()[1:]:
            yield warning(problem, "change it before production")


def _open_to_all(settings: Settings) -> Iterator[Finding]:
    if not settings.allowed_hosts:
        yield warning("ALLOWED_HOSTS: any host name is accepted", "list those of the service")
    for origin in settings.cors_origins:
        if origin == "*":
            yield warning("CORS_ORIGINS: pages of any origin may call", "list yours")
        elif origin.startswith("http://"):
            yield warning(f"CORS_ORIGINS: pages of {origin} are not encrypted", "write https://")
    url = settings.database_url
    if url.password and url.password in {url.username, url.database, "postgres"}:
        yield warning("DATABASE_URL: its secret is easy to guess", "give the user a random one")
    if settings.serves_docs:
        yield warning("DOCS: anybody can read /docs and /openapi.json", "set DOCS=false")
    if settings.has_metrics and not settings.metrics_port:
        yield warning("METRICS: anybody can read /metrics", "set METRICS to a port, such as 9464")
    if settings.log_level == "DEBUG":
        yield warning("LOG_LEVEL: DEBUG logs what libraries say", "set LOG_LEVEL=INFO")
