"""The server of a test run: a container, or else an embedded server."""

import pytest

from tests.postgres import NoServerError, postgres_server


@pytest.fixture(autouse=True)
def image_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setenv("POSTGRES_IMAGE", "127.0.0.1:9/no/such:image")


def test_without_a_container_the_embedded_server_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_POSTGRES", "auto")

    with postgres_server() as server:
        assert server.kind.startswith("embedded, because there is no container: ")
        assert "(embedded, because there is no container: " in server.describe()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://127.0.0.1:9/app", "The database cannot be used: .*127.0.0.1"),
        ("postgresql://127.0.0.1:9/app?options=-csearch_path%3Dtenant", "not a search_path"),
    ],
)
def test_own_server_that_cannot_be_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", url)

    with pytest.raises(NoServerError, match=f"TEST_DATABASE_URL: .*{said}"), postgres_server():
        pass


def test_required_container_that_cannot_be_had_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_POSTGRES", "container")

    with pytest.raises(NoServerError, match="TEST_POSTGRES=embedded"), postgres_server():
        pass
