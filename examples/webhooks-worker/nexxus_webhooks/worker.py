"""The worker: posts every event to a URL, signed as Standard Webhooks describes it.

See https://www.standardwebhooks.com; there are libraries that verify such a signature for most
languages.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Annotated

import httpx2
import msgspec

from nexxus.domain.events import Event
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.worker import Failed, Worker, WorkerContext
from nexxus.observability.figures import counter
from nexxus_webhooks.settings import WebhooksSettings


class WebhooksFigures(msgspec.Struct):
    """What ``/metrics`` shows of the worker."""

    delivered: Annotated[int, counter("Events that the receiver has accepted.")] = 0
    refused: Annotated[int, counter("Requests that the receiver has answered with an error.")] = 0


class WebhooksWorker(Worker):
    """Posts the events of one object one after the other, those of different objects side by side.

    An event may come again. Its ``webhook-id`` is then the same, so the receiver can tell.
    """

    def __init__(self, settings: WebhooksSettings) -> None:
        self.figures = WebhooksFigures()
        self.models = settings.models or None
        self._url = settings.url
        self._key = base64.b64decode(settings.secret.removeprefix("whsec_"))
        self._timeout = settings.timeout
        self._at_once = asyncio.Semaphore(settings.at_once)
        self._client: httpx2.AsyncClient

    async def open(self, context: WorkerContext) -> None:
        client = httpx2.AsyncClient(timeout=self._timeout)
        try:
            await client.head(self._url)  # any answer will do: somebody is there
        except httpx2.TransportError as error:
            await client.aclose()
            raise self._unavailable(error) from error
        self._client = client

    async def close(self) -> None:
        await self._client.aclose()

    async def handle(self, events: Sequence[Event]) -> Sequence[Failed]:
        by_object: dict[str, list[Event]] = {}
        for event in events:
            by_object.setdefault(event.key.partition, []).append(event)
        failed = await asyncio.gather(*map(self._post_in_order, by_object.values()))
        return [each for each in failed if each is not None]

    async def _post_in_order(self, events: Sequence[Event]) -> Failed | None:
        """Post the events of one object; return the first that failed.

        Nexxus brings those after it again, behind it, so they are not posted now.
        """
        for event in events:
            async with self._at_once:
                failed = await self._post(event)
            if failed is not None:
                return failed
        return None

    async def _post(self, event: Event) -> Failed | None:
        body = _body(event)
        try:
            answer = await self._client.post(
                self._url, content=body, headers=self._headers(event, body)
            )
        except httpx2.TransportError as error:
            return Failed(event, self._unavailable(error))
        if answer.is_success:
            self.figures.delivered += 1
            return None
        self.figures.refused += 1
        refusal = WebhookRefused(f"{self._url} answered {answer.status_code}")
        return Failed(event, refusal, retry_after=_retry_after(answer))

    def _headers(self, event: Event, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        signature = sign(self._key, event.operation_id, timestamp, body)
        return {
            "content-type": "application/json",
            "webhook-id": event.operation_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature,
        }

    def _unavailable(self, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(f"{self._url} does not answer: {error or type(error).__name__}")


class WebhookRefused(Exception):
    """The receiver has answered with an error."""


def sign(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    """Return the header ``webhook-signature``."""
    signed = b".".join((id.encode(), timestamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _body(event: Event) -> bytes:
    data = {
        "appId": event.app_id,
        "model": event.type,
        "id": event.id,
        "version": event.version,
        "object": event.after,
        "userId": event.user_id,
    }
    return msgspec.json.encode({"type": event.event, "data": data})


def _retry_after(answer: httpx2.Response) -> float | None:
    """Return the seconds that the receiver asks for; None if it does not say."""
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else None
