"""The baked service, which queues nothing: what a request costs without its job."""

from typing import Any

from app.core.jobs.queue import JobQueue
from app.main import create_app


async def enqueue(_queue: JobQueue, *_payloads: object, **_options: Any) -> list[int]:
    return []


JobQueue.enqueue = enqueue

app = create_app()
