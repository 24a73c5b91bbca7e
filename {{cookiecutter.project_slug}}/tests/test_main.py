import logging

import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.main import create_app


@pytest.mark.parametrize("level", ["DEBUG", "ERROR"])
def test_log_level_of_the_settings_is_that_of_the_app(settings: Settings, level: str) -> None:
    logger = logging.getLogger("app")
    before = logger.level
    create_app(settings.model_copy(update={"log_level": level}))
    after = logging.getLevelName(logger.level)
    logger.setLevel(before)

    assert after == level


def test_statuses_that_a_route_may_answer_are_declared(app: FastAPI) -> None:
    paths = app.openapi()["paths"]

    assert "409" in paths["/users"]["post"]["responses"]
    assert "409" in paths["/users/{user_id}"]["patch"]["responses"]
