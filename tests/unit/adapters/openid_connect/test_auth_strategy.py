"""Which of a provider's responses are trusted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote

import httpx2
import pytest
from clock import Clock
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from nexxus.adapters.openid_connect.auth_strategy import Google, OpenIdConnect
from nexxus.adapters.openid_connect.settings import GOOGLE, GoogleSettings, OpenIdSettings
from nexxus.errors import ServiceUnavailable, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, Challenge, Subject

ISSUER = "https://id.example"
CALLBACK = "https://app.example/auth/google/callback"
SETTINGS = OpenIdSettings(
    callback_url=CALLBACK, issuer=ISSUER, client_id="us", client_secret="s: h/h"
)
CHALLENGE = Challenge(state="state", nonce="nonce", verifier="v" * 43)
SECRET = OctKey.import_key("a secret of at least thirty-two bytes")

KEY, OTHER_KEY = RSAKey.generate_key(2048), RSAKey.generate_key(2048)


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


class Provider:
    """A fake OpenID Connect provider; its attributes change its responses."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.key: Key = KEY
        self.key_id: str | None = "1"
        self.published: list[dict[str, Any]] = [jwk(KEY, "1")]
        self.algorithm = "RS256"
        self.away = False
        self.issuer = ISSUER
        self.authentication: list[str] | None = None
        self.answer: httpx2.Response | None = None
        self.form: dict[str, str] = {}
        self.headers: httpx2.Headers = httpx2.Headers()
        self.asked: list[str] = []

    def id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": "us", "sub": "1", "iat": now, "exp": now + 60, "nonce": "nonce",
            "email": "ann@example.com", "email_verified": True, "given_name": "Ann",
        } | self.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm}
        if self.key_id is not None:
            header["kid"] = self.key_id
        if self.algorithm == "none":
            return f"{encoded(header)}.{encoded(claims)}."
        return jwt.encode(header, claims, self.key, [self.algorithm])

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        if self.away:
            raise httpx2.ConnectError("refused")
        if request.url.path == "/token":
            self.form, self.headers = dict(parse_qsl(request.content.decode())), request.headers
            if self.answer is not None:
                return self.answer
            if self.form["code"] != "good":
                return httpx2.Response(400, json={"error": "invalid_grant"})
            return httpx2.Response(200, json={"id_token": self.id_token(), "expires_in": 60})
        if request.url.path == "/keys":
            return httpx2.Response(200, json={"keys": self.published})
        discovery: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        if self.authentication is not None:
            discovery["token_endpoint_auth_methods_supported"] = self.authentication
        return httpx2.Response(200, json=discovery)


def jwk(key: Key, key_id: str | None, **more: Any) -> dict[str, Any]:
    public = key.as_dict(private=False) | {"use": "sig"} | more
    return public if key_id is None else public | {"kid": key_id}


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def strategy(provider: Provider, clock: Clock) -> AsyncIterator[OpenIdConnect]:
    strategy = OpenIdConnect(transport=httpx2.MockTransport(provider), clock=clock)
    yield strategy
    await strategy.close()


async def complete(
    strategy: OpenIdConnect, settings: OpenIdSettings = SETTINGS, **parameters: str
) -> Account:
    return await strategy.complete(
        settings, challenge=CHALLENGE, parameters=parameters or {"code": "good"}
    )


async def test_the_redirect_has_state_nonce_and_a_pkce_challenge(strategy: OpenIdConnect) -> None:
    url = httpx2.URL(await strategy.begin(SETTINGS, challenge=CHALLENGE))

    sent = {name: values[0] for name, values in parse_qs(url.query.decode()).items()}
    digest = hashlib.sha256(CHALLENGE.verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert sent == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "us",
        "redirect_uri": CALLBACK,
        "scope": "openid email profile",
        "state": "state",
        "nonce": "nonce",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


async def test_a_verified_account_is_returned(strategy: OpenIdConnect, provider: Provider) -> None:
    account = await complete(strategy)

    assert account == Account(Subject(ISSUER, "1"), "ann@example.com", {"firstName": "Ann"})
    assert provider.form["code_verifier"] == CHALLENGE.verifier
    assert provider.form["redirect_uri"] == CALLBACK


@pytest.mark.parametrize(
    ("methods", "in_body"),
    [(["client_secret_basic", "client_secret_post"], True), (["client_secret_basic"], False),
     (None, False)],
)  # fmt: skip
async def test_the_client_authenticates_with_a_method_of_the_provider(
    strategy: OpenIdConnect, provider: Provider, methods: list[str] | None, in_body: bool
) -> None:
    provider.authentication = methods

    await complete(strategy)

    header = provider.headers.get("authorization", "")
    if in_body:
        assert (provider.form["client_secret"], header) == ("s: h/h", "")
    else:
        user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        assert (unquote(user), unquote(password)) == ("us", "s: h/h")
        assert "client_secret" not in provider.form


async def test_a_public_client_sends_its_id(strategy: OpenIdConnect, provider: Provider) -> None:
    settings = OpenIdSettings(callback_url=CALLBACK, issuer=ISSUER, client_id="us")

    await complete(strategy, settings)

    assert provider.form["client_id"] == "us"
    assert "authorization" not in provider.headers


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "somebody-else"},
        {"aud": None},
        {"aud": []},
        {"aud": ["us", "them"], "azp": "them"},
        {"aud": ["us", "them"]},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"iat": 10**11},
        {"nbf": 10**11},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"email": None},
        {"email": ["ann@example.com"]},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "false"},
        {"email_verified": 1},
    ],
    ids=str,
)
async def test_invalid_claims_are_refused(
    strategy: OpenIdConnect, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)


async def test_email_verified_may_be_the_string_true(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.claims = {"email_verified": "true", "aud": ["us"], "azp": "us"}
    assert await complete(strategy)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_a_token_with_an_insecure_algorithm_is_refused(
    strategy: OpenIdConnect, provider: Provider, algorithm: str
) -> None:
    provider.algorithm, provider.key = algorithm, SECRET
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)


async def test_a_public_key_is_not_accepted_as_a_secret(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.algorithm = "HS256"
    provider.key = OctKey.import_key({"kty": "oct", "k": str(KEY.as_dict(private=False)["n"])})
    provider.published.append({**provider.key.as_dict(), "kid": "1", "use": "sig"})
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("PS512", KEY),
        ("ES256", ECKey.generate_key("P-256")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
async def test_other_signature_algorithms_are_accepted(
    strategy: OpenIdConnect, provider: Provider, algorithm: str, key: Key
) -> None:
    provider.algorithm, provider.key, provider.published = algorithm, key, [jwk(key, "1")]
    assert await complete(strategy)


async def test_unusable_keys_are_skipped(strategy: OpenIdConnect, provider: Provider) -> None:
    provider.published = [
        {"kty": "PQC", "kid": "2"},
        {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA", "kid": "3"},
        {"kty": "RSA", "n": 7, "kid": "4"},
        jwk(OTHER_KEY, "1", use="enc"),
        *provider.published,
    ]
    assert await complete(strategy)


async def test_a_single_key_needs_no_id(strategy: OpenIdConnect, provider: Provider) -> None:
    provider.key_id, provider.published = None, [jwk(KEY, None)]
    assert await complete(strategy)


async def test_a_token_signed_with_another_key_is_refused(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.key = OTHER_KEY
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)


@pytest.mark.parametrize("key_id", ["1", "2"])
async def test_a_change_of_the_providers_keys_is_handled(
    strategy: OpenIdConnect, provider: Provider, key_id: str
) -> None:
    await complete(strategy)
    await complete(strategy)
    assert provider.asked.count("/keys") == 1

    provider.key, provider.key_id, provider.published = OTHER_KEY, key_id, [jwk(OTHER_KEY, key_id)]

    assert await complete(strategy)
    assert provider.asked.count("/keys") == 2


async def test_the_providers_metadata_is_reloaded_after_an_hour(
    strategy: OpenIdConnect, provider: Provider, clock: Clock
) -> None:
    await complete(strategy)
    clock.advance(3601)
    provider.published = [jwk(OTHER_KEY, "1")]

    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy)

    assert provider.asked.count("/.well-known/openid-configuration") == 2


async def test_the_redirect_to_google_needs_no_request_to_google(provider: Provider) -> None:
    provider.away = True
    strategy = Google(transport=httpx2.MockTransport(provider))
    settings = GoogleSettings(callback_url=CALLBACK, client_id="us", client_secret="shh")

    url = await strategy.begin(settings, challenge=CHALLENGE)

    assert url.startswith(f"{GOOGLE}/o/oauth2/v2/auth?")
    assert provider.asked == []


@pytest.mark.parametrize("parameters", [{"error": "access_denied"}, {"code": "bad"}, {"x": ""}])
async def test_a_refusal_by_the_provider_is_an_error(
    strategy: OpenIdConnect, parameters: dict[str, str]
) -> None:
    with pytest.raises(UserAuthenticationFailed):
        await complete(strategy, **parameters)


async def test_a_response_that_names_another_provider_is_not_used(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    assert await complete(strategy, code="good", iss=ISSUER)
    provider.asked.clear()

    with pytest.raises(UserAuthenticationFailed, match="another provider"):
        await complete(strategy, code="good", iss="https://evil.example")

    assert provider.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(401, text="no"), UserAuthenticationFailed),
        (httpx2.Response(200, json={"token": "x"}), UserAuthenticationFailed),
        (httpx2.Response(200, json={"id_token": 7}), UserAuthenticationFailed),
        (httpx2.Response(200, json={"id_token": "nonsense"}), UserAuthenticationFailed),
        (httpx2.Response(200, json={"id_token": "e30.e30.e30"}), UserAuthenticationFailed),
        (httpx2.Response(200, json={"id_token": "é" * 9}), UserAuthenticationFailed),
        (httpx2.Response(200, text="[]"), ServiceUnavailable),
        (httpx2.Response(200, text="<html>"), ServiceUnavailable),
        (httpx2.Response(200, json={"expires_in": "soon"}), ServiceUnavailable),
        (httpx2.Response(503, json={"error": "busy"}), ServiceUnavailable),
    ],
)
async def test_an_invalid_response_is_refused(
    strategy: OpenIdConnect, provider: Provider, answer: httpx2.Response, error: type[Exception]
) -> None:
    provider.answer = answer
    with pytest.raises(error):
        await complete(strategy)


async def test_an_unavailable_provider_is_a_503(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.away = True
    with pytest.raises(ServiceUnavailable, match=r"id\.example"):
        await strategy.begin(SETTINGS, challenge=CHALLENGE)


async def test_metadata_of_another_issuer_is_refused(
    strategy: OpenIdConnect, provider: Provider
) -> None:
    provider.issuer = "https://evil.example"
    with pytest.raises(ServiceUnavailable, match="another issuer"):
        await complete(strategy)


async def test_a_provider_that_never_responds_times_out(clock: Clock) -> None:
    class Silent(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return await asyncio.Future()

    strategy = OpenIdConnect(timeout=0.01, transport=Silent(), clock=clock)
    with pytest.raises(ServiceUnavailable, match=r"id\.example"):
        await strategy.begin(SETTINGS, challenge=CHALLENGE)
