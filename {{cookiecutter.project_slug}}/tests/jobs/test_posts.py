import logging

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs.queue import JobQueue
from app.schemas.post_jobs import AnnouncePost
from tests.factories import Factory
from tests.inline_jobs import InlineJobs


async def test_new_post_is_announced_with_its_author(
    client: httpx.AsyncClient, make: Factory, jobs: InlineJobs, caplog: pytest.LogCaptureFixture
) -> None:
    author = await make.user(display_name="Ann")
    caplog.set_level(logging.INFO, "app")
    body = {"author_id": author.id, "title": "Hello", "body": "World"}
    post = (await client.post("/posts", json=body)).json()
    assert "Hello" not in caplog.text

    assert await jobs.run_all() == 1

    assert caplog.messages == [f"post {post['id']} by Ann: Hello"]


async def test_post_that_is_gone_by_then_is_no_error(
    session: AsyncSession, jobs: InlineJobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    await JobQueue(session).enqueue(AnnouncePost(post_id=2**40))
    await session.commit()

    assert await jobs.run_all() == 1

    assert caplog.messages == [f"post {2**40} was deleted before it could be announced"]
