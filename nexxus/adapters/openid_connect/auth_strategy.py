"""The strategies ``openid`` and ``google``: signing in with the ID tokens of a provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from nexxus.adapters.openid_connect.settings import GoogleSettings, OpenIdSettings
from nexxus.errors import UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import Account, Challenge, RedirectStrategy, Subject

# Authlib and an HTTP client come in with the first sign-in, not at every start.
if TYPE_CHECKING:
    import httpx2

    from nexxus.adapters.openid_connect.providers import OpenIdProviders

_TIMEOUT: Final = 10.0
_DETAILS: Final = {
    "name": "name",
    "given_name": "firstName",
    "family_name": "lastName",
    "picture": "picture",
    "locale": "locale",
}
"""The details that are offered, by the claim that they are in."""


class OpenIdConnect(RedirectStrategy[OpenIdSettings]):
    """The authorization code flow with PKCE (RFC 7636) and a nonce.

    A provider has `timeout` seconds for each answer. `transport` takes the requests to providers,
    None for the network. `clock` never goes back; it measures how old a provider's keys are.
    """

    settings: ClassVar[type[msgspec.Struct]] = OpenIdSettings

    def __init__(
        self,
        *,
        timeout: float = _TIMEOUT,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout
        self._transport = transport
        self._clock = clock
        self._known: OpenIdProviders | None = None

    async def begin(self, settings: OpenIdSettings, *, challenge: Challenge) -> str:
        """See `RedirectStrategy`."""
        return await self._providers().authorization_url(settings, challenge)

    async def complete(
        self, settings: OpenIdSettings, *, challenge: Challenge, parameters: Mapping[str, str]
    ) -> Account:
        """See `RedirectStrategy`.

        The ID token must name an address that the provider has verified.
        """
        if "error" in parameters:
            raise UserAuthenticationFailed(f"the provider refused: {parameters['error'][:64]}")
        code = parameters.get("code")
        if not code:
            raise UserAuthenticationFailed("the provider gave no code; sign in again")
        providers = self._providers()
        return _account(await providers.redeem(settings, challenge, code, parameters.get("iss")))

    def _providers(self) -> OpenIdProviders:
        if self._known is None:
            from nexxus.adapters.openid_connect.providers import OpenIdProviders

            self._known = OpenIdProviders(
                timeout=self._timeout, transport=self._transport, clock=self._clock
            )
        return self._known


class Google(OpenIdConnect):
    """Accounts of Google."""

    settings: ClassVar[type[msgspec.Struct]] = GoogleSettings


def _account(claims: Mapping[str, Any]) -> Account:
    email = claims.get("email")
    if not isinstance(email, str) or not email:
        raise UserAuthenticationFailed("the provider names no email; allow it and sign in again")
    is_verified = claims.get("email_verified")
    if not (is_verified is True or is_verified == "true"):
        raise UserAuthenticationFailed("the provider has not verified that email")
    details = {ours: claims.get(name) for name, ours in _DETAILS.items()}
    return Account(
        Subject(claims["iss"], claims["sub"]),
        email,
        {ours: value for ours, value in details.items() if isinstance(value, str)},
    )
