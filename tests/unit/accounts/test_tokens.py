"""The content of tokens, and which tokens are accepted."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from accounts_world import APPLICATION
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from nexxus.accounts.tokens import (
    application_named_in,
    derive_refresh_token,
    hash_refresh_token,
    read_refresh_token,
    sign_access_token,
    verify_access_token,
)
from nexxus.domain.application import parse_application
from nexxus.errors import InvalidRefreshToken, UserAuthenticationFailed, UserTokenExpired

APP = parse_application(APPLICATION)
OTHER = parse_application({**APPLICATION, "id": "other"})
NOW = 1_000_000.0
CLAIMS: dict[str, Any] = {
    "iat": 1_000_000, "exp": 1_000_060, "sub": "u1", "sid": "s1", "deviceId": "d1", "appId": "app",
}  # fmt: skip
TOKEN = sign_access_token(APP, CLAIMS)


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_token_has_the_claims_it_was_signed_with() -> None:
    assert verify_access_token(APP, TOKEN, now=NOW) == CLAIMS
    assert application_named_in(TOKEN) == "app"
    assert len(TOKEN) < 1024


def test_a_token_is_valid_until_it_expires() -> None:
    assert verify_access_token(APP, TOKEN, now=1_000_059.9)
    with pytest.raises(UserTokenExpired):
        verify_access_token(APP, TOKEN, now=1_000_060)


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_token_from_a_node_whose_clock_differs_is_valid(seconds: int) -> None:
    token = sign_access_token(APP, {**CLAIMS, "iat": CLAIMS["iat"] + seconds})
    assert verify_access_token(APP, token, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"appId": "other"},
        {"appId": None},
        {"sub": None},
        {"sub": 7},
        {"sid": None},
        {"deviceId": None},
        {"exp": None},
        {"exp": "later"},
        {"exp": True},
        {"exp": 1e300},
    ],
    ids=str,
)
def test_claims_that_nexxus_never_issues_are_refused_even_if_signed(
    change: dict[str, Any],
) -> None:
    claims = {name: value for name, value in {**CLAIMS, **change}.items() if value is not None}
    with pytest.raises(UserAuthenticationFailed):
        verify_access_token(APP, sign_access_token(APP, claims), now=NOW)


def test_the_secret_of_another_application_does_not_verify() -> None:
    stranger = parse_application(
        {**APPLICATION, "signingSecret": "another-signing-secret-of-a-good-length"}
    )
    with pytest.raises(UserAuthenticationFailed):
        verify_access_token(stranger, TOKEN, now=NOW)


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    if algorithm == "none":
        token = f"{encoded({'alg': 'none'})}.{encoded(CLAIMS)}."
    else:
        key = OctKey.import_key(APP.signing_secret)
        token = jwt.encode({"alg": algorithm}, CLAIMS, key, [algorithm])
    with pytest.raises(UserAuthenticationFailed):
        verify_access_token(APP, token, now=NOW)


def test_an_unsupported_critical_header_is_refused() -> None:
    header, claims, signature = TOKEN.split(".")
    for forged in ({"alg": "HS256", "crit": ["x"], "x": 1}, {"alg": ["HS256"]}, {"kid": 1}, []):
        with pytest.raises(UserAuthenticationFailed):
            verify_access_token(APP, f"{encoded(forged)}.{claims}.{signature}", now=NOW)
    assert header


tokens = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*TOKEN.split("."), "", "e30", "W10", "é", "="]), max_size=5).map(
        ".".join
    ),
    st.text(alphabet="aZ0-_.=", max_size=200),
    st.builds(
        lambda position, letter: TOKEN[:position] + letter + TOKEN[position + 1 :],
        st.integers(0, len(TOKEN) - 1),
        st.sampled_from("aZ0-_.= é"),
    ),
    st.integers(1, 20_000).map(lambda depth: f"{encoded({'alg': 'HS256'})}.{nested(depth)}.x"),
)


def nested(depth: int) -> str:
    return base64.urlsafe_b64encode(b"[" * depth).rstrip(b"=").decode()


@given(tokens)
def test_any_other_text_is_refused_without_an_unexpected_error(token: str) -> None:
    try:
        claims = verify_access_token(APP, token, now=NOW)
    except UserAuthenticationFailed:
        pass
    else:
        assert claims == CLAIMS, "base64 has several spellings of the last letter"
    try:
        named = application_named_in(token)
    except UserAuthenticationFailed:
        pass
    else:
        assert isinstance(named, str)


# Refresh tokens


@pytest.mark.contract("3. Sessions, users, devices", "refreshing")
def test_a_refresh_token_is_not_an_access_token() -> None:
    with pytest.raises(UserAuthenticationFailed):
        verify_access_token(APP, REFRESH, now=NOW)


def test_a_refresh_token_is_deterministic() -> None:
    token = derive_refresh_token(APP, "s1", 3)

    assert derive_refresh_token(APP, "s1", 3) == token
    assert len({token, derive_refresh_token(APP, "s1", 4), derive_refresh_token(APP, "s2", 3)}) == 3
    given = read_refresh_token(APP, token)
    assert (given.session_id, given.generation) == ("s1", 3)
    assert token not in hash_refresh_token(token)


def test_a_refresh_token_belongs_to_one_application() -> None:
    with pytest.raises(InvalidRefreshToken):
        read_refresh_token(OTHER, derive_refresh_token(APP, "s1", 1))


REFRESH = derive_refresh_token(APP, "s1", 1)


@given(
    st.one_of(
        st.text(),
        st.lists(st.sampled_from([*REFRESH.split("."), "", "1", "²", "-1"]), max_size=5).map(
            ".".join
        ),
        st.just("x" * 5000),
        st.just(TOKEN),
    )
)
@pytest.mark.contract("3. Sessions, users, devices", "refreshing")
def test_an_invalid_refresh_token_is_refused(token: str) -> None:
    try:
        read_refresh_token(APP, token)
    except InvalidRefreshToken:
        return
    assert token == REFRESH
