"""What exists in RabbitMQ: the names of exchanges and queues, their arguments, and which key
belongs where."""

from __future__ import annotations

from typing import Any, Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.errors import StartupError
from nexxus.interfaces.broker import Group, Mailbox, Topic
from nexxus.toolkit.partitions import partition_of

_NEVER: Final = 1_000_000
"""RabbitMQ drops a message that was delivered more often. Long before, its consumer sets it aside:
`Received.attempts` says how often it was delivered."""


class Topology:
    """Names and declares what the settings ask for. Declaring what is there already is free.

    A topic is a direct exchange, whose routing keys are the numbers of the partitions. Each group
    has a queue per partition, bound to the topic's exchange. A mailbox is a queue that expires.
    """

    def __init__(self, settings: RabbitMQSettings) -> None:
        self._settings = settings
        self.roster_exchange = f"{settings.prefix}.consumers"

    def exchange_of(self, topic: Topic[Any]) -> str:
        """The exchange of a topic."""
        return f"{self._settings.prefix}.{topic.name}"

    def partition_of(self, key: str) -> int:
        """The partition of a key: the same on every node."""
        return partition_of(key, self._settings.partitions)

    def queues_of(self, group: Group[Any]) -> list[str]:
        """The queues of a group, by partition."""
        return [self.queue_of(group, number) for number in range(self._settings.partitions)]

    def queue_of(self, group: Group[Any], partition: int) -> str:
        """The queue of a group for one partition."""
        return f"{self._settings.prefix}.{group.name}.{partition}"

    def mailbox_queue(self, mailbox: Mailbox[Any]) -> str:
        """The queue of a mailbox."""
        return f"{self._settings.prefix}.{mailbox.name}"

    async def declare(self, connection: AbstractConnection, group: Group[Any]) -> None:
        """Make the exchange and the queues of a group, where they are not.

        Raises `StartupError` when they exist with other arguments.
        """
        async with connection.channel(publisher_confirms=False) as channel:
            exchange = await channel.declare_exchange(
                self.exchange_of(group.topic), ExchangeType.DIRECT, durable=True
            )
            for partition, name in enumerate(self.queues_of(group)):
                queue = await self._declare(channel, name, {})
                await queue.bind(exchange, str(partition))

    async def declare_topic(self, connection: AbstractConnection, topic: Topic[Any]) -> None:
        """Make the exchange of a topic, where it is not."""
        async with connection.channel(publisher_confirms=False) as channel:
            await channel.declare_exchange(
                self.exchange_of(topic), ExchangeType.DIRECT, durable=True
            )

    async def declare_mailbox(self, connection: AbstractConnection, mailbox: Mailbox[Any]) -> None:
        """Make the queue of a mailbox, where it is not; raises `StartupError` as `declare` does."""
        expires = {"x-expires": int(self._settings.node_expires * 1000)}
        async with connection.channel(publisher_confirms=False) as channel:
            await self._declare(channel, self.mailbox_queue(mailbox), expires)

    async def remove(self, connection: AbstractConnection, group: Group[Any]) -> None:
        """Delete the queues of a group with what is in them."""
        async with connection.channel(publisher_confirms=False) as channel:
            for name in self.queues_of(group):
                await channel.queue_delete(name)

    async def _declare(
        self, channel: AbstractChannel, name: str, arguments: dict[str, Any]
    ) -> AbstractQueue:
        settings = self._settings
        common: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-quorum-initial-group-size": settings.replicas,
            "x-single-active-consumer": True,
            "x-max-length": settings.max_length,
            "x-overflow": "reject-publish",
            "x-delivery-limit": _NEVER,
        }
        try:
            arguments = {**common, **arguments}
            return await channel.declare_queue(name, durable=True, arguments=arguments)
        except ChannelPreconditionFailed as error:
            raise StartupError(
                f"the queue {name} exists in RabbitMQ with other arguments: {error}. Set the "
                "settings back, or delete the queue once it is empty"
            ) from error


async def waiting(connection: AbstractConnection, queue: str) -> int | None:
    """Return how many messages wait in a queue of RabbitMQ; None where there is no such queue.

    On a channel of its own, which RabbitMQ closes where the queue is not there.
    """
    async with connection.channel(publisher_confirms=False) as channel:
        try:
            declared = await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            return None
    return declared.declaration_result.message_count or 0
