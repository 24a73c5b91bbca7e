"""The application object for servers: `uvicorn app.asgi:app`, `fastapi dev`."""

import logging

from app.main import create_app

# Servers set up their own loggers only; without this the app's messages would go nowhere.
logging.basicConfig(format="%(levelname)s:     %(name)s: %(message)s")

app = create_app()
