"""The application object for servers: `uvicorn app.asgi:app`, `fastapi dev`."""

import gc

gc.disable()  # until the application is made; see `collect_garbage_rarely`

from app.core.config import ConfigurationError  # noqa: E402
from app.core.garbage import collect_garbage_rarely  # noqa: E402
from app.core.logs import configure_logging  # noqa: E402
from app.main import create_app  # noqa: E402

configure_logging()
try:
    app = create_app()
except ConfigurationError as error:
    raise SystemExit(f"Error: {error}") from None

if app.state.settings.collect_garbage_rarely:
    collect_garbage_rarely()
gc.enable()
