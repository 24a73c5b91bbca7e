"""The application object for servers: `uvicorn app.asgi:app`, `fastapi dev`."""

import gc
import logging

# What an application is made of lasts as long as the process. Searching it for garbage takes a
# fourteenth of the start, and later a fifth of a small request (measured).
gc.disable()

from app.main import create_app  # noqa: E402 (see above)

# Servers set up their own loggers only; without this the app's messages would go nowhere.
logging.basicConfig(format="%(levelname)s:     %(name)s: %(message)s")

app = create_app()

# A request leaves hardly a cycle behind, so searches may be rare.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 50)
gc.enable()
