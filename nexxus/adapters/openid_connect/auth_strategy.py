"""OpenID Connect: signing in at Google, or at any provider with a discovery document.

The authorization code flow with PKCE (RFC 7636) and a nonce. What a provider says of itself and
its keys are kept for `_KEPT` seconds. For a signature that no key fits they are fetched anew, so
that a provider's change of keys goes unnoticed; nobody gets there without a code that the provider
has just taken.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import msgspec

from nexxus.errors import InvalidParameters, ServiceUnavailable, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, AuthStrategy, Challenge

# What is needed for the first sign-in only is not imported at every start.
if TYPE_CHECKING:
    import httpx
    import jwt

GOOGLE: Final = "https://accounts.google.com"

_KEPT: Final = 3600
_TIMEOUT: Final = 10.0
_LEEWAY: Final = 60
_MAX_PROVIDERS: Final = 1000
# Signatures only a provider can make: never HS256, whose key every client of the provider has.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
                      "ES512", "EdDSA")  # fmt: skip
_DETAILS: Final = {
    "name": "name",
    "given_name": "firstName",
    "family_name": "lastName",
    "picture": "picture",
    "locale": "locale",
}


class _Discovery(msgspec.Struct, frozen=True):
    """The part of a provider's discovery document that is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


_WELL_KNOWN: Final = {
    GOOGLE: _Discovery(
        issuer=GOOGLE,
        authorization_endpoint=f"{GOOGLE}/o/oauth2/v2/auth",
        token_endpoint="https://oauth2.googleapis.com/token",
        jwks_uri="https://www.googleapis.com/oauth2/v3/certs",
    )
}
"""What a provider has said of itself for so long that nobody is to wait for it."""


class _Provider(msgspec.Struct):
    """What is known of a provider, and since when (monotonic seconds)."""

    discovery: _Discovery
    discovered_at: float
    keys: dict[str, jwt.PyJWK] = {}
    keys_at: float = -inf


class OpenIdConnect(AuthStrategy):
    """Signs in with the ID tokens of a provider.

    Settings of an application: ``clientID``, ``clientSecret``, and ``issuer`` where it is not
    `default_issuer`. `transport` takes the requests to providers, None for the network.
    """

    def __init__(
        self, default_issuer: str = "", *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._default_issuer = default_issuer
        self._transport = transport
        self._providers: dict[str, _Provider] = {}
        self._http: httpx.AsyncClient | None = None

    async def begin(
        self, settings: Mapping[str, Any], *, challenge: Challenge, callback_url: str
    ) -> str:
        """See `AuthStrategy`."""
        provider = await self._provider(self._issuer(settings))
        digest = hashlib.sha256(challenge.verifier.encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": _required(settings, "clientID"),
            "redirect_uri": callback_url,
            "scope": "openid email profile",
            "state": challenge.state,
            "nonce": challenge.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        endpoint = provider.discovery.authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    async def complete(
        self,
        settings: Mapping[str, Any],
        *,
        challenge: Challenge,
        callback_url: str,
        parameters: Mapping[str, str],
    ) -> Account:
        """See `AuthStrategy`."""
        if "error" in parameters:
            raise UserAuthenticationFailed(f"the provider refused: {parameters['error'][:64]}")
        code = parameters.get("code")
        if not code:
            raise UserAuthenticationFailed("the provider gave no code; sign in anew")
        provider = await self._provider(self._issuer(settings))
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback_url,
            "code_verifier": challenge.verifier,
        }
        credentials = (_required(settings, "clientID"), str(settings.get("clientSecret", "")))
        id_token = await self._exchange(provider.discovery.token_endpoint, form, credentials)
        claims = await self._verify(provider, id_token, credentials[0])
        if claims.get("nonce") != challenge.nonce:
            raise UserAuthenticationFailed("the provider's answer is of another sign-in")
        return _account(claims)

    async def close(self) -> None:
        """See `AuthStrategy`."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _issuer(self, settings: Mapping[str, Any]) -> str:
        issuer = settings.get("issuer") or self._default_issuer
        if not isinstance(issuer, str) or not issuer.startswith(("https://", "http://")):
            raise InvalidParameters("the sign-in strategy needs an issuer: a URL")
        return issuer

    async def _provider(self, issuer: str) -> _Provider:
        known = self._providers.get(issuer)
        now = time.monotonic()
        if known is not None and now - known.discovered_at < _KEPT:
            return known
        discovery = _WELL_KNOWN.get(issuer.rstrip("/")) or await self._discover(issuer)
        if len(self._providers) >= _MAX_PROVIDERS:
            self._providers.clear()
        found = self._providers[issuer] = _Provider(discovery, now)
        return found

    async def _discover(self, issuer: str) -> _Discovery:
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        discovery: _Discovery = await self._get(url, _Discovery)
        if discovery.issuer.rstrip("/") != issuer.rstrip("/"):
            raise ServiceUnavailable(f"{url} describes another issuer, {discovery.issuer}")
        return discovery

    async def _exchange(self, url: str, form: dict[str, str], credentials: tuple[str, str]) -> str:
        """The ID token for a code. The client authenticates in the body, as all allow it."""
        import httpx

        client_id, client_secret = credentials
        body = {**form, "client_id": client_id, "client_secret": client_secret}
        try:
            response = await self._client().post(url, data=body)
        except httpx.HTTPError as error:
            raise _away(url, error) from None
        if response.status_code >= 500:
            raise ServiceUnavailable(f"the provider answered with {response.status_code}")
        try:
            answer = msgspec.json.decode(response.content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = {}
        id_token = answer.get("id_token")
        if response.status_code != 200 or not isinstance(id_token, str):
            reason = str(answer.get("error", response.status_code))[:64]
            raise UserAuthenticationFailed(f"the provider did not take the code: {reason}")
        return id_token

    async def _verify(self, provider: _Provider, id_token: str, client_id: str) -> dict[str, Any]:
        """The claims of an ID token that the provider has signed for this client."""
        import jwt

        try:
            header = jwt.get_unverified_header(id_token)
            key_id, algorithm = header.get("kid"), header.get("alg")
            key = await self._key(provider, key_id)
            try:
                claims = _claims(provider, id_token, client_id, key, algorithm)
            except jwt.InvalidSignatureError:
                # Another key under the same id: a provider that has begun anew, say.
                await self._renew_keys(provider)
                key = await self._key(provider, key_id)
                claims = _claims(provider, id_token, client_id, key, algorithm)
        except jwt.PyJWTError as error:
            raise UserAuthenticationFailed(
                f"the provider's ID token does not verify: {error}"
            ) from None
        if claims.get("azp", client_id) != client_id:
            raise UserAuthenticationFailed("the provider's ID token is of another client")
        return claims

    async def _key(self, provider: _Provider, key_id: str | None) -> jwt.PyJWK:
        if time.monotonic() - provider.keys_at > _KEPT or (key_id or "") not in provider.keys:
            await self._renew_keys(provider)
        if key_id is None and len(provider.keys) == 1:
            return next(iter(provider.keys.values()))
        found = provider.keys.get(key_id or "")
        if found is None:
            raise UserAuthenticationFailed("the provider's ID token names a key it does not have")
        return found

    async def _renew_keys(self, provider: _Provider) -> None:
        document = await self._get(provider.discovery.jwks_uri, dict[str, Any])
        provider.keys = _parse_keys(document)
        provider.keys_at = time.monotonic()

    async def _get(self, url: str, type: Any) -> Any:
        import httpx

        try:
            response = await self._client().get(url)
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=type)
        except httpx.HTTPError as error:
            raise _away(url, error) from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ServiceUnavailable(f"{url} is not what it should be: {error}") from None

    def _client(self) -> httpx.AsyncClient:
        import httpx

        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=_TIMEOUT,
                headers={"Accept": "application/json"},
                transport=self._transport,
            )
        return self._http


def _away(url: str, error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"the provider does not answer at {url}: {error or type(error)}")


def _required(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidParameters(f"the sign-in strategy needs {name} in the application's settings")
    return value


def _claims(
    provider: _Provider, id_token: str, client_id: str, key: jwt.PyJWK, algorithm: str | None
) -> dict[str, Any]:
    import jwt

    claims: dict[str, Any] = jwt.decode(
        id_token,
        key.key,
        algorithms=[name for name in _ALGORITHMS if name == algorithm],
        audience=client_id,
        issuer=provider.discovery.issuer,
        leeway=_LEEWAY,
        options={"require": ["exp", "iat", "sub"]},
    )
    return claims


def _parse_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The usable signing keys by id; those of kinds that we do not know are passed over."""
    import jwt

    keys = {}
    for entry in document.get("keys", ()):
        if isinstance(entry, dict) and entry.get("use", "sig") == "sig":
            try:
                keys[str(entry.get("kid", ""))] = jwt.PyJWK.from_dict(entry)
            except jwt.PyJWTError:
                continue
    return keys


def _account(claims: Mapping[str, Any]) -> Account:
    email = claims.get("email")
    if not isinstance(email, str) or not email:
        raise UserAuthenticationFailed("the provider tells no email; allow it and sign in anew")
    if claims.get("email_verified") not in (True, "true"):
        raise UserAuthenticationFailed("the provider has not verified that email")
    details = {ours: claims[name] for name, ours in _DETAILS.items() if name in claims}
    return Account(
        email, {ours: value for ours, value in details.items() if isinstance(value, str)}
    )
