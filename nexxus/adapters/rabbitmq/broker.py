"""The RabbitMQ broker: quorum queues by partition, publisher confirms."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from aio_pika.abc import AbstractConnection

from nexxus.adapters.rabbitmq.consumer import RabbitMQConsumer
from nexxus.adapters.rabbitmq.link import Link, unavailable_when_away
from nexxus.adapters.rabbitmq.publisher import Publisher
from nexxus.adapters.rabbitmq.reading import Reading
from nexxus.adapters.rabbitmq.receiver import RabbitMQReceiver
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.adapters.rabbitmq.topology import Topology, waiting
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import (
    Broker,
    Consumer,
    Group,
    Mailbox,
    Message,
    Receiver,
    SetAside,
    Topic,
)
from nexxus.interfaces.logger import Logger

T = TypeVar("T")


class RabbitMQBroker(Broker):
    """Confirmed means that a majority of a queue's replicas has the message on disk.

    Two connections, one to publish and one to consume: RabbitMQ stops reading from those who
    publish when it runs out of memory or disk, and settling must go on then. Both reconnect by
    themselves. `node` is shown in RabbitMQ's list of connections.
    """

    def __init__(self, settings: RabbitMQSettings, *, logger: Logger, node: str = "") -> None:
        name = f"nexxus {node}".strip()
        self._settings = settings
        self._logger = logger
        self._topology = Topology(settings)
        self._publisher = Publisher(settings, self._topology, name, logger)
        self._consuming = Link(settings, f"{name} consumes", _unchanged, logger)
        self._readings: list[Reading] = []

    async def open(self) -> None:
        try:
            await self._publisher.open()
            await self._consuming.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        readings, self._readings = self._readings, []
        await asyncio.gather(*(reading.stop() for reading in readings))
        await self._publisher.close()
        await self._consuming.close()

    async def ping(self) -> None:
        await self._publisher.ping()
        await self._consuming.get(self._settings.patience)

    async def declare(self, group: Group[Any]) -> None:
        await self._publisher.declare(group)

    async def remove(self, group: Group[Any]) -> None:
        await self._publisher.remove(group)

    async def publish(self, topic: Topic[T], messages: Sequence[Message[T]]) -> None:
        if messages:
            await self._publisher.publish(topic, messages)

    async def redeliver(self, group: Group[T], messages: Sequence[Message[T]]) -> None:
        if messages:
            await self._publisher.redeliver(group, messages)

    async def send(self, mailbox: Mailbox[T], messages: Sequence[T]) -> None:
        if messages:
            await self._publisher.send(mailbox, messages)

    async def consume(self, group: Group[T], *, prefetch: int, set_aside: SetAside) -> Consumer[T]:
        consumer: RabbitMQConsumer[T] = RabbitMQConsumer(
            group,
            prefetch=prefetch,
            link=self._consuming,
            topology=self._topology,
            set_aside=set_aside,
            logger=self._logger,
        )
        self._keep(consumer)
        # While RabbitMQ is away the group's messages are safe, and the consumer goes on trying.
        await consumer.start(self._settings.connect_timeout)
        return consumer

    async def receive(self, mailbox: Mailbox[T]) -> Receiver[T]:
        receiver: RabbitMQReceiver[T] = RabbitMQReceiver(
            mailbox, link=self._consuming, topology=self._topology, logger=self._logger
        )
        self._keep(receiver)
        await receiver.open(self._settings.connect_timeout)
        return receiver

    async def depth(self, group: Group[Any]) -> int:
        connection = await self._publisher.connection()
        names = self._topology.queues_of(group)
        with unavailable_when_away():
            return sum([await waiting(connection, name) or 0 for name in names])

    def _keep(self, reading: Reading) -> None:
        """Remember whom to stop at the end."""
        if not self._consuming.is_open:
            raise ServiceUnavailable("the RabbitMQ broker is closed")
        self._readings = [each for each in self._readings if not each.is_closed]
        self._readings.append(reading)


async def _unchanged(connection: AbstractConnection) -> AbstractConnection:
    return connection
