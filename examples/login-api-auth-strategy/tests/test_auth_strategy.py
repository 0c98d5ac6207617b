"""The strategy keeps what every strategy of credentials promises, and takes no nonsense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import msgspec
import pytest

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.auth_strategy import Subject
from nexxus.testing.auth_strategy_kit import CredentialsStrategyConformance
from nexxus.testing.journal import Journal
from nexxus_login_api.auth_strategy import LoginApiStrategy

TOKEN = "the token of Nexxus"
ANN = {"username": "ann", "password": "correct horse"}
ISSUER = "https://shop.example"


class TestLoginApiStrategy(CredentialsStrategyConformance):
    @pytest.fixture(autouse=True)
    def api(self) -> None:
        self.user: dict[str, Any] = {"id": "17", "email": "ann@shop.example"}
        self.status = 200
        self.is_away = False
        self.journal = Journal()

    def create(self) -> LoginApiStrategy:
        return LoginApiStrategy(self.journal, transport=httpx2.MockTransport(self._answer))

    def unreachable(self) -> LoginApiStrategy:
        self.is_away = True
        return self.create()

    def settings(self) -> Mapping[str, Any]:
        return {"url": f"{ISSUER}/login", "issuer": ISSUER, "token": TOKEN}

    def right(self) -> Mapping[str, Any]:
        return ANN

    def wrong(self) -> Sequence[Mapping[str, Any]]:
        return [{**ANN, "password": "battery staple"}, {**ANN, "username": "nobody"}]

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.is_away:
            raise httpx2.ConnectError("refused")
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        if msgspec.json.decode(request.content) != ANN:
            return httpx2.Response(401)
        return httpx2.Response(self.status, json=self.user)

    @pytest.mark.parametrize("is_verified", [True, False])
    async def test_an_address_counts_only_if_the_api_has_verified_it(
        self, is_verified: bool
    ) -> None:
        self.user |= {"emailVerified": is_verified, "details": {"firstName": "Ann"}}
        account = await self.verify(self.create(), ANN)
        assert account.subject == Subject(ISSUER, "17")
        assert account.address == ("ann@shop.example" if is_verified else None)
        assert account.details == {"firstName": "Ann"}

    @pytest.mark.parametrize(
        ("status", "user"), [(500, {}), (302, {}), (200, {}), (200, {"id": 17})]
    )
    async def test_an_api_that_answers_nonsense_is_logged_and_unavailable(
        self, status: int, user: dict[str, Any]
    ) -> None:
        self.status, self.user = status, user
        with pytest.raises(ServiceUnavailable) as unavailable:
            await self.verify(self.create(), ANN)
        assert ISSUER not in str(unavailable.value)
        assert self.journal.messages == ["the sign-in API does not work"]
