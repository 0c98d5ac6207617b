"""What exists in RabbitMQ: the names of queues, their arguments, and which key belongs where."""

from __future__ import annotations

import zlib
from hashlib import blake2b
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.errors import StartupError
from nexxus.interfaces.broker import Queue, QueueKind

_NO_EXCHANGE: Final = ""
"""The default exchange, which routes to the queue that the routing key names."""


class Topology:
    """Names and declares what the settings ask for. Declaring what is there already is free."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self._settings = settings
        prefix = settings.prefix
        self.dead_letter_queue = f"{prefix}.dead-letters"
        self.roster_exchange = f"{prefix}.consumers"

    def queues_of(self, queue: Queue[Any]) -> list[str]:
        """The queues in RabbitMQ that make up one of ours, by partition."""
        name = self.node_queue(queue.name)
        if queue.kind is QueueKind.NODE:
            return [name]
        return [f"{name}.{partition}" for partition in range(self._settings.partitions)]

    def queue_for(self, queue: Queue[Any], key: str) -> str:
        """The queue in RabbitMQ for messages of a key: the same on every node."""
        if queue.kind is QueueKind.NODE:
            return self.node_queue(queue.name)
        return self.partition_queue(queue.name, key)

    def node_queue(self, name: str) -> str:
        """The queue in RabbitMQ of a node's own queue."""
        return f"{self._settings.prefix}.{name}"

    def partition_queue(self, name: str, key: str) -> str:
        """The queue in RabbitMQ of a partitioned queue, for messages of a key."""
        partition = zlib.crc32(key.encode()) % self._settings.partitions
        return f"{self._settings.prefix}.{name}.{partition}"

    def name_of(self, queue: str) -> str:
        """Our name of a queue in RabbitMQ, as well as it can be told from its name alone."""
        name, _, last = queue.removeprefix(f"{self._settings.prefix}.").rpartition(".")
        return name if last.isdigit() else f"{name}.{last}"

    async def declare(self, connection: AbstractConnection, queue: Queue[Any]) -> None:
        """Make the queues of one of ours, and that for its dead letters, where they are not.

        Raises `StartupError` when they exist with other arguments.
        """
        async with connection.channel(publisher_confirms=False) as channel:
            await self._declare(channel, self.dead_letter_queue, {})
            for name in self.queues_of(queue):
                await self._declare(channel, name, self._arguments(queue))

    async def declare_dead_letters(self, connection: AbstractConnection) -> None:
        """Make the queue for dead letters where it is not."""
        async with connection.channel(publisher_confirms=False) as channel:
            await self._declare(channel, self.dead_letter_queue, {})

    def _arguments(self, queue: Queue[Any]) -> dict[str, Any]:
        settings = self._settings
        arguments: dict[str, Any] = {
            "x-single-active-consumer": True,
            "x-max-length": settings.max_length,
            "x-overflow": "reject-publish",
            "x-delivery-limit": settings.delivery_limit,
            "x-dead-letter-exchange": _NO_EXCHANGE,
            "x-dead-letter-routing-key": self.dead_letter_queue,
            "x-dead-letter-strategy": "at-least-once",
        }
        if queue.kind is QueueKind.NODE:
            arguments["x-expires"] = int(settings.node_expires * 1000)
        return arguments

    async def _declare(
        self, channel: AbstractChannel, name: str, arguments: dict[str, Any]
    ) -> None:
        common: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-quorum-initial-group-size": self._settings.replicas,
        }
        try:
            await channel.declare_queue(name, durable=True, arguments={**common, **arguments})
        except ChannelPreconditionFailed as error:
            raise StartupError(
                f"the queue {name} exists in RabbitMQ with other arguments: {error}. Set the "
                "settings back, or delete the queue once it is empty"
            ) from error


async def waiting(connection: AbstractConnection, queue: str) -> int | None:
    """How many messages wait in a queue of RabbitMQ; None where there is no such queue.

    On a channel of its own, which RabbitMQ closes where the queue is not there.
    """
    async with connection.channel(publisher_confirms=False) as channel:
        try:
            declared = await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            return None
    return declared.declaration_result.message_count or 0


def assign(partitions: int, members: list[str]) -> list[str]:
    """Which member has which partition: evenly, and most stay where they are when members change.

    Rendezvous hashing with a bound: each partition goes to its highest-scoring member that has
    not its share yet. `members` must not be empty; their order does not matter.
    """
    share = -(-partitions // len(members))
    load = dict.fromkeys(members, 0)
    owners = []
    for partition in range(partitions):
        free = [member for member in members if load[member] < share]
        owner = max(free, key=lambda member: _score(member, partition))
        load[owner] += 1
        owners.append(owner)
    return owners


def _score(member: str, partition: int) -> bytes:
    return blake2b(f"{partition}/{member}".encode(), digest_size=8).digest()
