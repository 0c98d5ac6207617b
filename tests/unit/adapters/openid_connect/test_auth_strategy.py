"""What a provider's answers are trusted for, and what they are not."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from nexxus.adapters.openid_connect.auth_strategy import GOOGLE, OpenIdConnect
from nexxus.errors import InvalidParameters, ServiceUnavailable, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, Challenge

ISSUER = "https://id.example"
SETTINGS = {"clientID": "us", "clientSecret": "shh"}
CALLBACK = "https://app.example/auth/google/callback"
CHALLENGE = Challenge(state="state", nonce="nonce", verifier="v" * 43)


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


KEY, OTHER_KEY = new_key(), new_key()


class Provider:
    """Answers as an OpenID Connect provider does; `claims` change what it says."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.key, self.key_id, self.published = KEY, "1", {"1": KEY}
        self.algorithm = "RS256"
        self.away = False
        self.issuer = ISSUER
        self.form: dict[str, str] = {}
        self.asked: list[str] = []

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": "us", "sub": "1", "iat": now, "exp": now + 60, "nonce": "nonce",
            "email": "ann@example.com", "email_verified": True, "given_name": "Ann",
        } | self.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        key: Any = self.key
        if self.algorithm == "HS256":
            key = "a secret of at least thirty-two bytes"
        elif self.algorithm == "none":
            key = None
        return jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": self.key_id})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.away:
            raise httpx.ConnectError("refused")
        if request.url.path == "/token":
            self.form = dict(parse_qsl(request.content.decode()))
            if self.form["code"] != "good":
                return httpx.Response(400, json={"error": "invalid_grant"})
            return httpx.Response(200, json={"id_token": self.id_token()})
        if request.url.path == "/keys":
            return httpx.Response(200, json={"keys": [*map(self.jwk, self.published)]})
        endpoints = {"authorization": "authorize", "token": "token"}
        discovery = {f"{name}_endpoint": f"{ISSUER}/{path}" for name, path in endpoints.items()}
        return httpx.Response(
            200, json={"issuer": self.issuer, "jwks_uri": f"{ISSUER}/keys", **discovery}
        )

    def jwk(self, key_id: str) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.published[key_id].public_key())
        return {**json.loads(public), "kid": key_id, "use": "sig", "alg": "RS256"}


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def strategy(provider: Provider) -> AsyncIterator[OpenIdConnect]:
    strategy = OpenIdConnect(ISSUER, transport=httpx.MockTransport(provider))
    yield strategy
    await strategy.close()


async def complete(strategy: OpenIdConnect, **parameters: str) -> Account:
    return await strategy.complete(
        SETTINGS,
        challenge=CHALLENGE,
        callback_url=CALLBACK,
        parameters=parameters or {"code": "good"},
    )


async def test_the_way_there_has_state_nonce_and_a_pkce_challenge(strategy: OpenIdConnect) -> None:
    url = httpx.URL(await strategy.begin(SETTINGS, challenge=CHALLENGE, callback_url=CALLBACK))

    sent = {name: values[0] for name, values in parse_qs(url.query.decode()).items()}
    digest = hashlib.sha256(CHALLENGE.verifier.encode()).digest()
    assert sent["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert (sent["state"], sent["nonce"]) == ("state", "nonce")
    assert CHALLENGE.verifier not in str(url)


async def test_a_verified_account_comes_back(strategy: OpenIdConnect, provider: Provider) -> None:
    assert await complete(strategy) == Account("ann@example.com", {"firstName": "Ann"})
    assert provider.form["code_verifier"] == CHALLENGE.verifier
    assert provider.form["redirect_uri"] == CALLBACK


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "somebody-else"},
        {"aud": ["us", "them"], "azp": "them"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"sub": None},
        {"email": None},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "false"},
    ],
    ids=str,
)
async def test_claims_that_are_not_for_us_are_refused(
    strategy: OpenIdConnect, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_a_token_that_anybody_could_sign_is_refused(
    strategy: OpenIdConnect, provider: Provider, algorithm: str
) -> None:
    provider.algorithm = algorithm
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)


async def test_a_token_of_another_key_is_refused(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.key = OTHER_KEY
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)


@pytest.mark.parametrize("key_id", ["1", "2"])
async def test_a_change_of_keys_goes_unnoticed(
    strategy: OpenIdConnect, provider: Provider, key_id: str
) -> None:
    await complete(strategy)
    await complete(strategy)
    assert provider.asked.count("/keys") == 1

    provider.key, provider.key_id, provider.published = OTHER_KEY, key_id, {key_id: OTHER_KEY}

    assert await complete(strategy)
    assert provider.asked.count("/keys") == 2


async def test_the_way_to_google_needs_no_answer_of_google(provider: Provider) -> None:
    provider.away = True
    strategy = OpenIdConnect(GOOGLE, transport=httpx.MockTransport(provider))
    url = await strategy.begin(SETTINGS, challenge=CHALLENGE, callback_url=CALLBACK)
    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert provider.asked == []
    await strategy.close()


@pytest.mark.parametrize("parameters", [{"error": "access_denied"}, {"code": "bad"}, {"x": ""}])
async def test_a_refusal_of_the_provider_is_one_of_ours(
    strategy: OpenIdConnect, parameters: dict[str, str]
) -> None:
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy, **parameters)


async def test_a_provider_that_is_away_is_not_the_user_s_fault(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.away = True
    with pytest.raises(ServiceUnavailable, match=r"id\.example"):
        await strategy.begin(SETTINGS, challenge=CHALLENGE, callback_url=CALLBACK)


async def test_a_discovery_of_another_issuer_is_not_believed(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.issuer = "https://evil.example"
    with pytest.raises(ServiceUnavailable, match="another issuer"):
        await complete(strategy)


@pytest.mark.parametrize(
    "settings", [{}, {"clientID": ""}, {"clientID": "us", "issuer": "nonsense"}]
)
async def test_settings_that_cannot_work_are_named(
    strategy: OpenIdConnect, settings: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameters, match=r"clientID|issuer"):
        await strategy.begin(settings, challenge=CHALLENGE, callback_url=CALLBACK)
