"""The RabbitMQ broker: quorum queues by partition, publisher confirms, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from aio_pika.abc import AbstractConnection

from nexxus.adapters.rabbitmq.consumer import RabbitMQConsumer
from nexxus.adapters.rabbitmq.dead_letters import DeadLetters
from nexxus.adapters.rabbitmq.link import Link, unavailable_when_away
from nexxus.adapters.rabbitmq.publisher import Publisher
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.adapters.rabbitmq.topology import Topology, waiting
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import (
    TRANSPORT_MANAGER,
    WRITER,
    Broker,
    Consumer,
    DeadLetter,
    Message,
    Queue,
)

T = TypeVar("T")


class RabbitMQBroker(Broker):
    """Confirmed means that a majority of a queue's replicas has the message on disk.

    Two connections, one to publish and one to consume: RabbitMQ stops reading from those who
    publish when it runs out of memory or disk, and settling must go on then. Both come back by
    themselves. `node` is shown in RabbitMQ's list of connections.
    """

    def __init__(self, settings: RabbitMQSettings, *, node: str = "") -> None:
        name = f"nexxus {node}".strip()
        self._settings = settings
        self._topology = Topology(settings)
        self._publisher = Publisher(settings, self._topology, name)
        self._consuming = Link(settings, f"{name} consumes", _as_it_is)
        self._dead_letters = DeadLetters(self._topology, self._publisher)
        self._consumers: list[RabbitMQConsumer[Any]] = []

    async def open(self) -> None:
        try:
            await self._publisher.open()
            await self._consuming.open()
            for queue in (WRITER, TRANSPORT_MANAGER):
                await self._publisher.declare(queue)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        consumers, self._consumers = self._consumers, []
        await asyncio.gather(*(consumer.close() for consumer in consumers))
        await self._publisher.close()
        await self._consuming.close()

    async def ping(self) -> None:
        await self._publisher.ping()
        await self._consuming.get(self._settings.patience)

    async def publish(self, queue: Queue[T], messages: Sequence[Message[T]]) -> None:
        if messages:
            await self._publisher.publish(queue, messages)

    async def consume(self, queue: Queue[T], *, prefetch: int = 1000) -> Consumer[T]:
        if not self._consuming.is_open:
            raise ServiceUnavailable("the RabbitMQ broker is closed")
        self._consumers = [each for each in self._consumers if not each.is_closed]
        consumer: RabbitMQConsumer[T] = RabbitMQConsumer(
            queue,
            prefetch=prefetch,
            patience=self._settings.connect_timeout,
            link=self._consuming,
            topology=self._topology,
            publisher=self._publisher,
        )
        self._consumers.append(consumer)
        await consumer.open()
        return consumer

    async def depth(self, queue: Queue[Any]) -> int:
        connection = await self._publisher.connection()
        names = self._topology.queues_of(queue)
        with unavailable_when_away():
            return sum([await waiting(connection, name) or 0 for name in names])

    async def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> list[DeadLetter]:
        return await self._dead_letters.list(queue, limit)

    async def replay(self, ids: Collection[str]) -> int:
        return await self._dead_letters.replay(ids)

    async def discard(self, ids: Collection[str]) -> int:
        return await self._dead_letters.discard(ids)


async def _as_it_is(connection: AbstractConnection) -> AbstractConnection:
    return connection
