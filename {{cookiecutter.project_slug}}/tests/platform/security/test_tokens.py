from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from app.core.config import Settings
from app.core.security.tokens import (
    AccessToken,
    RefreshToken,
    create_access_token,
    create_one_time_token,
    digest_of,
    read_access_token,
)
from app.exceptions import InvalidTokenError

OTHER_KEY = SecretStr("another-key-0123456789-abcdefghijklmnopqrstuvw")
TOKEN = AccessToken(
    user_id=7, session_id=5, generation=3, signed_in_at=1_700_000_000, methods=["pwd"]
)
CLAIMS = {"iss", "aud", "sub", "exp", "iat", "jti", "typ", "gen", "sid", "auth_time", "amr"}


def test_access_token_says_who_where_and_how_long(settings: Settings) -> None:
    settings = settings.model_copy(update={"access_token_minutes": 7})
    token = create_access_token(TOKEN, settings)
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)

    assert read_access_token(token, settings) == TOKEN
    assert claims["exp"] - claims["iat"] == 7 * 60
    assert (claims["iss"], claims["aud"]) == (settings.token_issuer, settings.token_audience)
    assert claims.keys() == CLAIMS
    assert (claims["sub"], claims["sid"], claims["gen"]) == ("7", "5", 3)
    assert (claims["auth_time"], claims["amr"]) == (1_700_000_000, ["pwd"])
    assert (header["alg"], header["typ"]) == ("HS256", "at+jwt")


def test_each_access_token_has_an_id_of_its_own(settings: Settings) -> None:
    ids = {
        jwt.decode(create_access_token(TOKEN, settings), options={"verify_signature": False})["jti"]
        for _ in range(10)
    }

    assert len(ids) == 10


def test_new_key_signs_and_the_previous_one_is_still_valid(settings: Settings) -> None:
    before = create_access_token(TOKEN, settings)
    rotated = settings.model_copy(
        update={"secret_key": OTHER_KEY, "secret_key_previous": settings.secret_key}
    )
    after = create_access_token(TOKEN, rotated)

    assert read_access_token(before, rotated) == read_access_token(after, rotated)
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    finished = rotated.model_copy(update={"secret_key_previous": None})
    assert read_access_token(after, finished) == TOKEN
    with pytest.raises(InvalidTokenError):
        read_access_token(before, finished)


def forge(
    settings: Settings,
    key: str | None = None,
    algorithm: str = "HS256",
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Sign a token that differs from a good one; None leaves a claim or a header out."""
    good = create_access_token(TOKEN, settings)
    chosen = jwt.decode(good, options={"verify_signature": False}) | claims
    headers = jwt.get_unverified_header(good) | {"alg": algorithm} | (header or {})
    headers = {name: value for name, value in headers.items() if name != "kid" or value}
    key = settings.secret_key.get_secret_value() if key is None else key
    return jwt.encode(
        {name: value for name, value in chosen.items() if value is not None},
        key,
        algorithm=algorithm,
        headers=headers,
    )


def test_forged_token_is_good_when_nothing_differs(settings: Settings) -> None:
    assert read_access_token(forge(settings), settings) == TOKEN


@pytest.mark.parametrize(
    "differing",
    [
        {"key": OTHER_KEY.get_secret_value()},
        {"key": "", "algorithm": "none"},
        {"algorithm": "HS512"},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"kid": "0123456789abcdef"}},
        {"header": {"kid": "../../dev/null"}},
        {"header": {"kid": None}},
        {"header": {"crit": ["exp"]}},
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"iat": datetime(2100, 1, 1, tzinfo=UTC)},
        {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
        {"iss": "somebody-else"},
        {"aud": "somebody-else"},
        {"aud": ["somebody-else", "app"]},
        {"typ": "refresh"},
        {"gen": "1"},
        {"sub": 7},
        {"sub": "x"},
        {"sid": "0"},
        {"sid": "x"},
        {"auth_time": "1700000000"},
        {"auth_time": 1.5},
        {"amr": "pwd"},
        {"amr": [7]},
        *({claim: None} for claim in sorted(CLAIMS)),
    ],
    ids=str,
)
def test_other_tokens_are_refused(settings: Settings, differing: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError):
        read_access_token(forge(settings, **differing), settings)


def test_key_that_signs_is_the_one_that_the_token_names(settings: Settings) -> None:
    both = settings.model_copy(update={"secret_key_previous": OTHER_KEY})

    with pytest.raises(InvalidTokenError):
        read_access_token(forge(both, key=OTHER_KEY.get_secret_value()), both)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "\u00e4.b.c", "a.b.c.d.e"])
def test_text_that_is_no_token_is_refused(settings: Settings, token: str) -> None:
    with pytest.raises(InvalidTokenError):
        read_access_token(token, settings)


def test_refresh_token_survives_the_way_to_the_client_and_back() -> None:
    token = RefreshToken.new()

    assert RefreshToken.parse(str(token)) == token
    assert (len(token.session_key), len(token.secret)) == (16, 32)
    assert str(token) not in repr(token)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t + "\n",
        lambda t: t[:-1] + "\u00e4",
        lambda t: "." + t,
    ],
)
def test_text_that_is_not_a_refresh_token_is_refused(change: Any) -> None:
    assert RefreshToken.parse(change(str(RefreshToken.new()))) is None


def test_successor_is_always_the_same_and_takes_the_key_to_derive(settings: Settings) -> None:
    token = RefreshToken.new()
    following = token.successor(settings.secret_key)

    assert following == token.successor(settings.secret_key)
    assert following.session_key == token.session_key
    assert len({token.secret, following.secret, token.successor(OTHER_KEY).secret}) == 3


def test_one_time_tokens_are_256_random_bits_kept_as_a_digest() -> None:
    tokens = {create_one_time_token() for _ in range(100)}

    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}
    assert {len(digest_of(token)) for token in tokens} == {32}
