"""Providers: what each says of itself, and the requests of a sign-in.

A provider's discovery document and keys are kept for `_KEPT` seconds. If no key fits a signature
they are fetched again, so a provider may change its keys at any time. Only somebody with a code
that the provider has just accepted can cause that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any, Final

import httpx2
import msgspec
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from joserfc.jwk import KeySet

from nexxus.adapters.openid_connect.id_tokens import UnknownKey, import_keys, verify_id_token
from nexxus.adapters.openid_connect.settings import GOOGLE, OpenIdSettings
from nexxus.errors import ServiceUnavailable, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Challenge

_KEPT: Final = 3600
_MAX_PROVIDERS: Final = 1000


class _Discovery(msgspec.Struct, frozen=True):
    """The part of a provider's discovery document that is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


_WELL_KNOWN: Final = {
    GOOGLE: _Discovery(
        issuer=GOOGLE,
        authorization_endpoint=f"{GOOGLE}/o/oauth2/v2/auth",
        token_endpoint="https://oauth2.googleapis.com/token",
        jwks_uri="https://www.googleapis.com/oauth2/v3/certs",
        token_endpoint_auth_methods_supported=("client_secret_post", "client_secret_basic"),
    )
}
"""What providers have said of themselves for so long that no sign-in needs to wait for it."""


class _Provider(msgspec.Struct):
    """What is known of a provider, and since when."""

    discovery: _Discovery
    discovered_at: float
    keys: KeySet
    keys_at: float = -inf


class OpenIdProviders:
    """Speaks to providers, each known by its issuer."""

    def __init__(
        self,
        *,
        timeout: float,
        transport: httpx2.AsyncBaseTransport | None,
        clock: Callable[[], float],
    ) -> None:
        self._timeout = timeout
        self._transport = transport
        self._clock = clock
        self._known: dict[str, _Provider] = {}
        self._tls = httpx2.create_ssl_context()

    async def authorization_url(self, settings: OpenIdSettings, challenge: Challenge) -> str:
        """Return where the browser signs in."""
        async with self._client(settings) as client:
            provider = await self._provider(client, settings.issuer)
            url, _ = client.create_authorization_url(
                provider.discovery.authorization_endpoint,
                state=challenge.state,
                code_verifier=challenge.verifier,
                nonce=challenge.nonce,
            )
            return str(url)

    async def redeem(
        self, settings: OpenIdSettings, challenge: Challenge, code: str, issuer: str | None
    ) -> dict[str, Any]:
        """Exchange a code for an ID token, and return the claims of the token.

        `issuer` is the one that the redirect named (RFC 9207), if it did.
        """
        async with self._client(settings) as client:
            provider = await self._provider(client, settings.issuer)
            if issuer not in (None, provider.discovery.issuer):
                raise UserAuthenticationFailed("the redirect came from another provider")
            id_token = await self._exchange(client, provider.discovery, challenge, code)
            return await self._verify(client, provider, id_token, settings, challenge)

    @asynccontextmanager
    async def _client(self, settings: OpenIdSettings) -> AsyncIterator[AsyncOAuth2Client]:
        """Give a client of the application's own; what it raises is the provider's fault."""
        try:
            async with (
                asyncio.timeout(2 * self._timeout),
                AsyncOAuth2Client(
                    settings.client_id,
                    settings.client_secret or None,
                    scope="openid email profile",
                    redirect_uri=settings.callback_url,
                    code_challenge_method="S256",
                    timeout=self._timeout,
                    verify=self._tls,
                    transport=self._transport,
                ) as client,
            ):
                yield client
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise ServiceUnavailable(
                f"the provider {settings.issuer} does not answer: {error or type(error).__name__}"
            ) from None

    async def _provider(self, client: AsyncOAuth2Client, issuer: str) -> _Provider:
        known = self._known.get(issuer)
        now = self._clock()
        if known is not None and now - known.discovered_at < _KEPT:
            return known
        discovery = _WELL_KNOWN.get(issuer.rstrip("/")) or await self._discover(client, issuer)
        if len(self._known) >= _MAX_PROVIDERS:
            self._known.clear()
        found = self._known[issuer] = _Provider(discovery, now, KeySet([]))
        return found

    async def _discover(self, client: AsyncOAuth2Client, issuer: str) -> _Discovery:
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        discovery: _Discovery = await _get(client, url, _Discovery)
        if discovery.issuer.rstrip("/") != issuer.rstrip("/"):
            raise ServiceUnavailable(f"{url} describes another issuer, {discovery.issuer}")
        return discovery

    async def _exchange(
        self,
        client: AsyncOAuth2Client,
        discovery: _Discovery,
        challenge: Challenge,
        code: str,
    ) -> str:
        if client.client_secret:
            client.token_endpoint_auth_method = _authentication(discovery)
        try:
            token = await client.fetch_token(
                discovery.token_endpoint, code=code, code_verifier=challenge.verifier
            )
        except OAuthError as error:
            raise _refused(str(error.error)) from None
        except httpx2.HTTPStatusError as error:
            if error.response.status_code >= 500:
                raise
            raise _refused(str(error.response.status_code)) from None
        except (ValueError, TypeError) as error:
            raise ServiceUnavailable(
                f"the answer of {discovery.token_endpoint} cannot be read: {error}"
            ) from None
        id_token = token.get("id_token")
        if not isinstance(id_token, str):
            raise _refused("it has no ID token")
        return id_token

    async def _verify(
        self,
        client: AsyncOAuth2Client,
        provider: _Provider,
        id_token: str,
        settings: OpenIdSettings,
        challenge: Challenge,
    ) -> dict[str, Any]:
        if self._clock() - provider.keys_at > _KEPT:
            await self._renew_keys(client, provider)
            return self._claims(provider, id_token, settings, challenge)
        try:
            return self._claims(provider, id_token, settings, challenge)
        except UnknownKey:
            await self._renew_keys(client, provider)
            return self._claims(provider, id_token, settings, challenge)

    def _claims(
        self, provider: _Provider, id_token: str, settings: OpenIdSettings, challenge: Challenge
    ) -> dict[str, Any]:
        return verify_id_token(
            id_token,
            provider.keys,
            issuer=provider.discovery.issuer,
            client_id=settings.client_id,
            nonce=challenge.nonce,
        )

    async def _renew_keys(self, client: AsyncOAuth2Client, provider: _Provider) -> None:
        document = await _get(client, provider.discovery.jwks_uri, dict[str, Any])
        provider.keys = import_keys(document)
        provider.keys_at = self._clock()


async def _get(client: AsyncOAuth2Client, url: str, type: Any) -> Any:
    response = await client.request(
        "GET", url, withhold_token=True, headers={"accept": "application/json"}
    )
    response.raise_for_status()
    try:
        return msgspec.json.decode(response.content, type=type)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ServiceUnavailable(f"{url} is not what it should be: {error}") from None


def _authentication(discovery: _Discovery) -> str:
    """Return how the client authenticates: in the body, which needs no escaping, if it may."""
    in_body = "client_secret_post"
    methods = discovery.token_endpoint_auth_methods_supported
    return in_body if in_body in methods else "client_secret_basic"


def _refused(reason: str) -> UserAuthenticationFailed:
    return UserAuthenticationFailed(f"the provider did not accept the code: {reason[:64]}")
