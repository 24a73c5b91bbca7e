import logging

import pytest

from app.core.database.sessions import Database
from app.services.post_announcements import announce_post
from tests.factories import Factory
from tests.post_factory import make_post


async def test_announcement_names_post_and_author(
    database: Database, make: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    post = await make_post(make, await make.user(display_name="Ann"), title="Hello")

    await announce_post(database, post.id)

    assert caplog.messages == [f"post {post.id} by Ann: Hello"]


async def test_post_that_is_gone_by_then_is_no_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")

    await announce_post(database, 2**40)

    assert caplog.messages == [f"post {2**40} was deleted before it could be announced"]
