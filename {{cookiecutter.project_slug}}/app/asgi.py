"""The application object for servers: `uvicorn app.asgi:app`, `fastapi dev`."""

import gc
import logging

from app.main import create_app

# Servers set up their own loggers only; without this the app's messages would go nowhere.
logging.basicConfig(format="%(levelname)s:     %(name)s: %(message)s")

app = create_app()

# What is made by now lasts as long as the process, and what a request leaves behind is mostly free
# of cycles. By default Python would search both for cycles again and again, for a fifth of a small
# request's time (measured).
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 50)
