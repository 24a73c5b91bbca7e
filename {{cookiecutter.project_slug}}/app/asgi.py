"""The application object for servers: `uvicorn app.asgi:app`, `fastapi dev`."""

from app.core.config import ConfigurationError, Settings, load_settings
from app.core.garbage import collect_garbage_rarely
from app.core.observability.logs import configure_logging

try:
    configure_logging()
    settings = load_settings(Settings)
    # After the settings: OpenTelemetry reads OTEL_PROPAGATORS where it is imported.
    from app.main import create_app

    app = create_app(settings)
except ConfigurationError as error:
    raise SystemExit(f"Error: {error}") from None

if settings.collect_garbage_rarely:
    collect_garbage_rarely()
