"""One queue of RabbitMQ as one consumer receives it, on a channel of its own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from aio_pika.abc import AbstractChannel as HighChannel
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from nexxus.adapters.rabbitmq.link import AWAY, unavailable_when_away
from nexxus.adapters.rabbitmq.publisher import KEY
from nexxus.errors import ServiceUnavailable
from nexxus.toolkit.delivery_buffer import BufferedMessage, DeliveryBuffer

_COUNT: Final = "x-delivery-count"
_CLOSING: Final = 5.0


class Poison(NamedTuple):
    """A message that cannot be decoded, and why."""

    subscription: QueueSubscription
    tag: int
    body: bytes
    key: str
    attempts: int
    reason: str


class QueueSubscription:
    """Receives a queue's messages into a buffer, until it is closed or lost.

    The queue has a single active consumer: of all subscriptions to it, in whichever process,
    RabbitMQ sends messages to the one that is first in line. A channel of its own means that
    closing returns all that is not settled at once, in order, before the next in line gets any.
    """

    def __init__(
        self,
        queue: str,
        buffer: DeliveryBuffer,
        decode: Callable[[bytes], Any],
        on_poison: Callable[[Poison], None],
    ) -> None:
        self.queue = queue
        self.has_delivered = False
        self.lost = asyncio.Event()
        """Set when RabbitMQ has ended it; what it delivered will be delivered again."""
        self._buffer = buffer
        self._decode = decode
        self._on_poison = on_poison
        self._unsettled: dict[int, None] = {}
        self._sending = asyncio.Lock()
        self._is_closed = False
        self._high: HighChannel | None = None
        self._channel: AbstractChannel | None = None

    async def open(self, connection: AbstractConnection, prefetch: int) -> None:
        """Get in line; at most `prefetch` messages are received before some are settled."""
        self._high = connection.channel(publisher_confirms=False)
        await self._high.initialize()
        await self._high.set_qos(prefetch)
        channel = self._channel = await self._high.get_underlay_channel()
        channel.closing.add_done_callback(lambda _: self.lost.set())
        channel.on_consumer_cancel_callbacks.add(lambda _: self.lost.set())
        await channel.basic_consume(self.queue, self._receive)

    async def settle(self, tags: Iterable[int]) -> None:
        """Acknowledge these; of a subscription that is lost nothing, for they come again."""
        # Nothing may be sent on a channel after its close: RabbitMQ would end the connection.
        async with self._sending:
            done = set(tags) & self._unsettled.keys()
            if not done or self._channel is None or self.lost.is_set():
                return
            try:
                await self._acknowledge(self._channel, done)
            except AWAY:
                self.lost.set()

    async def _acknowledge(self, channel: AbstractChannel, done: set[int]) -> None:
        # Most batches are the oldest messages there are: one frame acknowledges them all.
        first = 0
        for tag in self._unsettled:
            if tag not in done:
                break
            first = tag
        if first:
            await channel.basic_ack(first, multiple=True, wait=False)
        # A tag is forgotten once its frame is on its way, and not before: whoever is cancelled in
        # between may settle the rest later. To send one twice would end the channel.
        for tag in sorted(done):
            if tag > first:
                await channel.basic_ack(tag, wait=False)
            del self._unsettled[tag]

    async def close(self) -> None:
        """Leave the line; what is not settled goes back to its place in the queue."""
        async with self._sending:
            self._is_closed = True
            self._unsettled.clear()
        self._buffer.drop(self)
        if self._high is not None:
            with suppress(ServiceUnavailable), unavailable_when_away():
                async with asyncio.timeout(_CLOSING):
                    await self._high.close()

    async def _receive(self, message: DeliveredMessage) -> None:
        # A task of its own, but one that awaits nothing: so they run in the order of delivery.
        if self._is_closed:
            return  # on its way when we closed; it is back in the queue already
        assert isinstance(message.delivery, Basic.Deliver)
        tag = message.delivery.delivery_tag
        assert tag is not None
        self.has_delivered = True
        self._unsettled[tag] = None
        headers = message.header.properties.headers or {}
        key, count = headers.get(KEY, ""), headers.get(_COUNT, 0)
        attempts = count if isinstance(count, int) else 0
        try:
            payload = self._decode(message.body)
        except ValueError as error:  # msgspec's errors, and text that is no UTF-8
            self._on_poison(Poison(self, tag, message.body, str(key), attempts, str(error)))
            return
        self._buffer.add(BufferedMessage(self, tag, str(key), payload, attempts))


async def acknowledge(deliveries: Iterable[BufferedMessage]) -> None:
    """Settle deliveries, each where it came from."""
    by_source: dict[QueueSubscription, list[int]] = defaultdict(list)
    for delivery in deliveries:
        assert isinstance(delivery.source, QueueSubscription)
        by_source[delivery.source].append(delivery.tag)
    for subscription, tags in by_source.items():
        await subscription.settle(tags)
