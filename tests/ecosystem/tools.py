"""Puts a project's app under the tools of the ecosystem: `python tools.py NAME`, with that tool installed.

Each prints what it saw, as JSON. It runs in the environment of the project.
"""

import asyncio
import json
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
from app.core.database import Database
from app.dependencies.services import viewer_service
from app.exceptions import NotFoundError
from app.main import create_app
from app.models.user import User
from app.services.post_service import PostService
from fastapi import FastAPI

BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def read_posts(app: FastAPI) -> None:
    """Send one GET and one HEAD for a post that is not there, and one GET for no route."""
    async with app.router.lifespan_context(app), client(app) as http:
        await http.get("/posts/7")
        await http.head("/posts/7")
        await http.get("/nowhere")


async def opentelemetry() -> object:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_app()
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, exclude_spans=["send", "receive"]
    )
    await read_posts(app)
    return [span.name for span in exporter.get_finished_spans()]


async def prometheus() -> object:
    from prometheus_fastapi_instrumentator import Instrumentator

    app = create_app()
    Instrumentator().instrument(app).expose(app)
    await read_posts(app)
    async with client(app) as http:
        metrics = (await http.get("/metrics")).text
    return [line for line in metrics.splitlines() if line.startswith("http_requests_total{")]


async def sentry() -> object:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    sent: list[tuple[str, str | None]] = []

    class Collected(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            sent.extend((item.type, item.payload.json.get("transaction")) for item in envelope)

    sentry_sdk.init("http://key@localhost/1", transport=Collected, traces_sample_rate=1.0)
    app = create_app()

    @app.get("/bugs/{number}")
    async def bug(number: int) -> float:
        return number / 0

    async with client(app) as http:
        await http.get("/bugs/7")
    sentry_sdk.flush()
    return [one for one in sent if one[0] != "sessions"]


async def sqladmin() -> object:
    from sqladmin import Admin, ModelView

    class Users(ModelView, model=User):
        column_list = [User.id, User.email]  # noqa: RUF012 (the interface of SQLAdmin)

    app = create_app()
    database = Database(app.state.settings)
    Admin(app, engine=database.writer).add_view(Users)
    async with app.router.lifespan_context(app), client(app) as http:
        page = await http.get("/admin/user/list")
        style = await http.get("/admin/statics/css/main.css")
        live = await http.get("/health/live")
    await database.dispose()
    policy = page.headers["content-security-policy"]
    return [page.status_code, style.status_code, live.status_code, "default-src" in policy]


async def static_files() -> object:
    from fastapi.staticfiles import StaticFiles

    folder = Path(mkdtemp())
    (folder / "index.html").write_text("<h1>Hello</h1>")
    (folder / "app.js").write_text("hello()")
    app = create_app()
    app.mount("/", StaticFiles(directory=folder, html=True))
    async with client(app) as http:
        page, live = await http.get("/", headers=BROWSER), await http.get("/health/live")
        head, script = await http.head("/"), await http.get("/app.js")
        refused, missing = await http.post("/index.html"), await http.get("/none")
    return [
        [response.status_code for response in (page, live, head, refused, missing)],
        refused.headers["allow"],
        missing.json()["code"],
        page.text,
        *(one.headers["content-security-policy"].partition(";")[0] for one in (page, script, live)),
    ]


async def dependency_overrides() -> object:
    class Posts:
        async def get_post(self, _post_id: int) -> object:
            raise NotFoundError("overridden")

    app = create_app()
    app.dependency_overrides[viewer_service(PostService)] = Posts
    async with app.router.lifespan_context(app), client(app) as http:
        return (await http.get("/posts/7")).json()["detail"]


print(json.dumps(asyncio.run(globals()[sys.argv[1]]())))
