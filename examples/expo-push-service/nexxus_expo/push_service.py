"""The push service: reaches React Native applications through Expo.

See https://docs.expo.dev/push-notifications/sending-notifications for the protocol. A request has
up to 100 messages, and the answer has a ticket for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2
import msgspec

from nexxus.errors import InvalidParameters
from nexxus.interfaces.push_service import (
    Gone,
    Push,
    PushOutcome,
    PushService,
    Refused,
    Sent,
    TryLater,
)
from nexxus_expo.settings import ExpoSettings

_TOKEN: Final = re.compile(r"Expo(nent)?PushToken\[[\w-]{1,100}\]")


class TicketDetails(msgspec.Struct, frozen=True):
    """Why Expo refuses a message, in a word."""

    error: str = ""


class Ticket(msgspec.Struct, frozen=True):
    """What Expo says of one message."""

    status: str
    message: str = ""
    details: TicketDetails = TicketDetails()


class Tickets(msgspec.Struct, frozen=True):
    """Expo's answer to a request."""

    data: list[Ticket]


class ExpoService(PushService):
    """Addresses are ``{"token": "ExponentPushToken[…]"}``. Each batch is one request."""

    def __init__(
        self, settings: ExpoSettings, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None

    async def open(self) -> None:
        token = self._settings.access_token
        self._client = httpx2.AsyncClient(
            base_url=self._settings.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=self._settings.timeout,
            transport=self._transport,
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def check_address(self, address: Mapping[str, Any]) -> dict[str, Any]:
        token = address.get("token")
        is_token = isinstance(token, str) and _TOKEN.fullmatch(token)
        if address.keys() != {"token"} or not is_token:
            raise InvalidParameters(
                'push: expected {"token": "ExponentPushToken[…]"}, as getExpoPushTokenAsync '
                "returns it",
                {"field": "push.token"},
            )
        return {"token": token}

    async def send(self, pushes: Sequence[Push]) -> Sequence[PushOutcome]:
        if self._client is None:
            raise RuntimeError("open the service first")
        messages = [self._message(push) for push in pushes]
        try:
            answer = await self._client.post("/--/api/v2/push/send", json=messages)
        except httpx2.TransportError as error:
            return [TryLater(f"Expo does not answer: {error}")] * len(pushes)
        if answer.is_success:
            tickets = msgspec.json.decode(answer.content, type=Tickets).data
            return [_outcome(ticket) for ticket in tickets]
        reason = f"Expo answered {answer.status_code}: {answer.text[:200]}"
        if answer.status_code == 429 or answer.status_code >= 500:
            return [TryLater(reason, delay=_retry_after(answer))] * len(pushes)
        if len(pushes) == 1:
            return [Refused(reason)]
        # Expo refuses a whole request for one message that it does not like: find out which.
        return [outcome for push in pushes for outcome in await self.send([push])]

    def _message(self, push: Push) -> dict[str, Any]:
        message = push.message
        common = {"to": push.address["token"], "data": message.data, "ttl": int(push.expires_in)}
        if message.is_silent:
            return {**common, "_contentAvailable": True, "priority": "normal"}
        return {
            **common,
            "title": message.title,
            "body": message.body,
            "channelId": self._settings.channel,
            "priority": "high",
            "sound": "default",
        }


def _outcome(ticket: Ticket) -> PushOutcome:
    if ticket.status == "ok":
        return Sent()
    if ticket.details.error == "DeviceNotRegistered":
        return Gone(ticket.message)
    if ticket.details.error == "MessageRateExceeded":
        return TryLater(ticket.message, delay=60)
    return Refused(ticket.message)


def _retry_after(answer: httpx2.Response) -> float | None:
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else None
