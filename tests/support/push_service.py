"""A push service for tests: it records what it is given, and can refuse, fail or take long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nexxus.errors import InvalidParameters
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.push_service import (
    Gone,
    Push,
    PushMessage,
    PushOutcome,
    PushService,
    Sent,
)


class RecordingPushService(PushService):
    """Addresses are ``{"token": …}``. `outcomes` has what becomes of a token's next pushes."""

    batch = 3

    def __init__(self) -> None:
        self.sent: list[tuple[str, PushMessage]] = []
        self.outcomes: dict[str, list[PushOutcome | Exception]] = {}
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.calls = 0

    @property
    def public_key(self) -> str | None:
        return "a public key"

    def check_address(self, address: Mapping[str, Any]) -> dict[str, Any]:
        token = address.get("token")
        if not isinstance(token, str) or address.keys() - {"token", "topic"}:
            raise InvalidParameters("push.token: expected a string", {"field": "push.token"})
        return dict(address)

    async def send(self, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        self.calls += 1
        await self.may_send.wait()
        return [self._send(push) for push in pushes]

    def messages(self, token: str) -> list[PushMessage]:
        """What a device was pushed."""
        return [message for to, message in self.sent if to == token]

    def refuse(self, token: str) -> None:
        """Say from now on that the device is gone."""
        self.outcomes[token] = [Gone("unregistered")] * 100

    def _send(self, push: Push) -> PushOutcome:
        token = push.address["token"]
        following = self.outcomes.get(token)
        outcome = following.pop(0) if following else Sent()
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, Sent):
            self.sent.append((token, push.message))
        return outcome


class PushPlugin:
    """Offers one service, ``recording``."""

    def __init__(self) -> None:
        self.service = RecordingPushService()

    @hookimpl
    def nexxus_push_services(self) -> list[Adapter[Any, PushService]]:
        return [Adapter("recording", None, lambda *_: self.service, interface=1)]
