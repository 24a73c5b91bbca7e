"""The baked app below `/svc`, by a `root_path`, as behind a proxy that strips the prefix."""

from app.asgi import app as baked
from starlette.applications import Starlette
from starlette.routing import Mount

app = Starlette(
    # The second one is for whoever waits until the service is healthy.
    routes=[Mount("/svc", baked), Mount("/", baked)],
    lifespan=lambda _: baked.router.lifespan_context(baked),
)
