"""The push service keeps what every push service promises, and understands Expo's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import msgspec
import pytest

from nexxus.interfaces.push_service import PushMessage, PushService, Refused, Sent, TryLater
from nexxus.testing.push_service_kit import PushServiceConformance, Received
from nexxus_expo.push_service import ExpoService
from nexxus_expo.settings import ExpoSettings

ANN = "ExponentPushToken[ann]"
GONE = "ExponentPushToken[gone]"


class TestExpoService(PushServiceConformance):
    @pytest.fixture(autouse=True)
    def server(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_away = False
        self.refusals: list[httpx2.Response] = []

    def create(self) -> ExpoService:
        return ExpoService(ExpoSettings(), transport=httpx2.MockTransport(self._answer))

    def address(self) -> Mapping[str, Any]:
        return {"token": ANN}

    def gone_address(self) -> Mapping[str, Any]:
        return {"token": GONE}

    def invalid_addresses(self) -> Sequence[Mapping[str, Any]]:
        return [{}, {"token": 7}, {"token": "apns:1234"}, {"token": ANN, "unknown": 1}]

    async def received(self) -> Sequence[Received]:
        return [Received(m.get("title", ""), m.get("body", ""), m["data"]) for m in self.messages]

    def unreachable(self) -> ExpoService:
        self.is_away = True
        return self.create()

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.is_away:
            raise httpx2.ConnectError("refused")
        if self.refusals:
            return self.refusals.pop(0)
        return httpx2.Response(
            200, json={"data": list(map(self._ticket, msgspec.json.decode(request.content)))}
        )

    def _ticket(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["to"] == GONE:
            details = {"error": "DeviceNotRegistered"}
            return {"status": "error", "message": "is not registered", "details": details}
        self.messages.append(message)
        return {"status": "ok", "id": str(len(self.messages))}

    async def test_a_server_that_asks_for_patience_is_given_it(self, service: PushService) -> None:
        self.refusals = [httpx2.Response(429, headers={"Retry-After": "30"}, text="slow down")]
        push = self.push(service, PushMessage({"event": "resync"}))
        (outcome,) = await service.send([push])
        assert isinstance(outcome, TryLater)
        assert outcome.delay == 30

    async def test_a_message_that_is_refused_does_not_take_the_others_with_it(
        self, service: PushService
    ) -> None:
        self.refusals = [httpx2.Response(400, text="invalid")] * 2  # the batch, the first alone
        pushes = [self.push(service, PushMessage({"count": number})) for number in range(2)]
        outcomes = await service.send(pushes)
        assert outcomes == [Refused("Expo answered 400: invalid"), Sent()]
