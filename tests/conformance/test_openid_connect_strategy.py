"""OpenID Connect keeps what every strategy of redirects promises, with a real provider."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, install
from ports import free_port

from nexxus.adapters.openid_connect.auth_strategy import OpenIdConnect
from nexxus.testing.auth_strategy_kit import CALLBACK, RedirectStrategyConformance


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    install()
    provider = OpenIdProvider(CALLBACK)
    yield provider
    provider.close()


class TestOpenIdConnect(RedirectStrategyConformance):
    @pytest.fixture(autouse=True)
    def at_provider(self, provider: OpenIdProvider) -> None:
        self.provider = provider
        self.issuer = provider.issuer

    def create(self) -> OpenIdConnect:
        return OpenIdConnect()

    def settings(self) -> Mapping[str, Any]:
        return {
            "callbackURL": CALLBACK,
            "issuer": self.issuer,
            "clientID": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
        }

    async def sign_in(self, url: str) -> Mapping[str, str]:
        return await self._at_the_provider(url, "ann@example.com")

    async def decline(self, url: str) -> Mapping[str, str]:
        return await self._at_the_provider(url, "")

    def unreachable(self) -> OpenIdConnect:
        self.issuer = f"http://127.0.0.1:{free_port()}"
        return OpenIdConnect()

    async def _at_the_provider(self, url: str, account: str) -> Mapping[str, str]:
        callback = await self.provider.sign_in(url, account)
        assert callback.startswith(CALLBACK)
        return dict(parse_qsl(urlsplit(callback).query))
