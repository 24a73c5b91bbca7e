"""The application object for servers: `uvicorn app.asgi:app`, `fastapi dev`."""

from app.core.config import ConfigurationError
from app.core.garbage import collect_garbage_rarely
from app.core.observability.logs import configure_logging
from app.main import create_app

try:
    configure_logging()
    app = create_app()
except ConfigurationError as error:
    raise SystemExit(f"Error: {error}") from None

if app.state.settings.collect_garbage_rarely:
    collect_garbage_rarely()
