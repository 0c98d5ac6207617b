"""The reader of a mailbox."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from aio_pika.abc import AbstractConnection

from nexxus.adapters.rabbitmq.link import Link, unavailable_when_away
from nexxus.adapters.rabbitmq.reading import Reading
from nexxus.adapters.rabbitmq.subscription import Poison, QueueSubscription, acknowledge
from nexxus.adapters.rabbitmq.topology import Topology, waiting
from nexxus.errors import MessagesLost, ServiceUnavailable
from nexxus.interfaces.broker import Mailbox, Receiver
from nexxus.interfaces.logger import Logger
from nexxus.toolkit.delivery_buffer import BufferedMessage

T = TypeVar("T")

_PREFETCH = 1000


class RabbitMQReceiver(Reading, Receiver[T]):
    """Reads a mailbox's queue, which expires if it is not read for too long."""

    def __init__(
        self,
        mailbox: Mailbox[T],
        *,
        link: Link[AbstractConnection],
        topology: Topology,
        logger: Logger,
    ) -> None:
        super().__init__(mailbox.name, prefetch=_PREFETCH, link=link, logger=logger)
        self._mailbox = mailbox
        self._queue = topology.mailbox_queue(mailbox)
        self._topology = topology
        self._decode = msgspec.json.Decoder(mailbox.payload).decode
        self._taken: Sequence[BufferedMessage] = ()
        self._poison: deque[Poison] = deque()
        self._has_lost = False

    async def open(self, patience: float) -> None:
        """Make the mailbox; raises `ServiceUnavailable` when RabbitMQ is away for too long."""
        if not await self.start(patience):
            await self.stop()
            raise ServiceUnavailable("RabbitMQ is away")

    async def take(self, limit: int) -> list[T]:
        await self._finish_taken()
        while True:
            # What was received in this turn of the loop makes one batch.
            await asyncio.sleep(0)
            if self.is_closed:
                raise ServiceUnavailable("this mailbox is closed")
            if self._has_lost:
                self._has_lost = False
                raise MessagesLost(f"{self.name} expired while RabbitMQ was out of reach")
            await self._drop_poison()
            batch = self.buffer.take(limit)
            if batch:
                self._taken = batch
                return [each.payload for each in batch]
            self.check_running()
            self.buffer.awake.clear()
            await self.buffer.awake.wait()

    async def close(self) -> None:
        await self.stop()

    async def serve(self, connection: AbstractConnection) -> None:
        with unavailable_when_away():
            if self.is_reading.is_set() and await waiting(connection, self._queue) is None:
                self._has_lost = True
                self.buffer.awake.set()
            await self._topology.declare_mailbox(connection, self._mailbox)
        subscription = QueueSubscription(self._queue, self.buffer, self._decode, self._take_poison)
        try:
            with unavailable_when_away():
                await subscription.open(connection, _PREFETCH)
            self.is_reading.set()
            await subscription.lost.wait()
        finally:
            await subscription.close()
        raise ServiceUnavailable(f"RabbitMQ has ended the subscription to {self._queue}")

    async def _finish_taken(self) -> None:
        """Acknowledge what was taken last; where this is cancelled, the next call does the rest."""
        taken = self.buffer.out(self._taken)
        await acknowledge(taken)
        self.buffer.finish(taken)
        self._taken = ()

    def _take_poison(self, poison: Poison) -> None:
        self._poison.append(poison)
        self.buffer.awake.set()

    async def _drop_poison(self) -> None:
        """Drop what cannot be decoded, such as what a newer node sends: it cannot be acted on."""
        while self._poison:
            poison = self._poison[0]
            await poison.subscription.settle([poison.tag])
            self._poison.popleft()
            self._logger.error(
                "a message cannot be decoded", mailbox=self.name, reason=poison.reason
            )
