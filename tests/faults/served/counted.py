"""The baked app, with a way to ask how many tasks run in it."""

import asyncio

from app.asgi import app


@app.get("/tasks")
async def count_tasks() -> int:
    return len(asyncio.all_tasks())
