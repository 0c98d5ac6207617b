"""Publishing: many messages in flight, each confirmed, none lost silently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPException, DeliveryError, PublishError
from aiormq.channel import Channel
from pamqp.commands import Basic

from nexxus.adapters.rabbitmq.link import AWAY, Link, describe, unavailable_when_away
from nexxus.adapters.rabbitmq.settings import RabbitMQSettings
from nexxus.adapters.rabbitmq.topology import Topology
from nexxus.domain.objects import new_id
from nexxus.errors import ServiceUnavailable, StartupError
from nexxus.interfaces.broker import Group, Mailbox, Message, Topic
from nexxus.interfaces.logger import Logger

T = TypeVar("T")

KEY: Final = "nexxus-key"
"""The header with a message's key."""

_DIRECTLY: Final = ""
"""The default exchange, which routes to the queue that the routing key names."""

_PERSISTENT: Final = 2
_JSON: Final = "application/json"
_NOWHERE: Final = "nexxus.nowhere"
_ANSWER_WITHIN: Final = 2.0


class Outgoing(NamedTuple):
    """A message as RabbitMQ gets it."""

    exchange: str
    routing_key: str
    body: bytes
    key: str


class _Equipment(NamedTuple):
    connection: AbstractConnection
    channel: Channel
    declared: set[str]
    """The topics and groups that were declared since the connection was made."""


class Publisher:
    """Publishes on a connection of its own: RabbitMQ may stop reading from a publisher's."""

    def __init__(
        self, settings: RabbitMQSettings, topology: Topology, name: str, logger: Logger
    ) -> None:
        self._settings = settings
        self._topology = topology
        self._link = Link(settings, f"{name} publishes", self._equip, logger)
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._encoder = msgspec.json.Encoder()
        self._groups: dict[str, Group[Any]] = {}

    async def open(self) -> None:
        """Connect; see `Link.open`."""
        await self._link.open()

    async def close(self) -> None:
        """Finish what is being published, as long as it may take at most, and disconnect."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._settings.publish_timeout)
        await self._link.close()

    async def ping(self) -> None:
        """Return if RabbitMQ confirms a message now, else raise `ServiceUnavailable`."""
        equipment = await self._link.get(self._settings.patience)
        with unavailable_when_away():
            await _probe(equipment.channel, _ANSWER_WITHIN)

    async def connection(self) -> AbstractConnection:
        """Return the connection, for what is neither published nor consumed."""
        return (await self._link.get(self._settings.patience)).connection

    async def declare(self, group: Group[Any]) -> None:
        """As `Broker.declare`. The group is declared again after a lost connection."""
        equipment = await self._link.get(self._settings.patience)
        await self._declare(equipment, group)
        self._groups[group.name] = group

    async def remove(self, group: Group[Any]) -> None:
        """As `Broker.remove`."""
        self._groups.pop(group.name, None)
        equipment = await self._link.get(self._settings.patience)
        equipment.declared.discard(group.name)
        await self._within_timeout(equipment, self._topology.remove(equipment.connection, group))

    async def publish(self, topic: Topic[T], messages: Sequence[Message[T]]) -> None:
        """As `Broker.publish`."""
        exchange = self._topology.exchange_of(topic)
        outgoing = [
            Outgoing(
                exchange,
                str(self._topology.partition_of(message.key)),
                self._encoder.encode(message.payload),
                message.key,
            )
            for message in messages
        ]

        async def prepare(equipment: _Equipment) -> None:
            for group in list(self._groups.values()):
                if group.topic == topic:
                    await self._declare(equipment, group)
            await self._declare_topic(equipment, topic)

        returned = await self._send(outgoing, prepare)
        # Somebody has deleted the queues, or RabbitMQ has lost them: once more, into new ones.
        if returned and await self._send(returned, prepare):
            raise ServiceUnavailable(
                f"RabbitMQ has no queue for {topic.name}: no group consumes it"
            )

    async def redeliver(self, group: Group[T], messages: Sequence[Message[T]]) -> None:
        """As `Broker.redeliver`."""
        outgoing = [
            Outgoing(
                _DIRECTLY,
                self._topology.queue_of(group, self._topology.partition_of(message.key)),
                self._encoder.encode(message.payload),
                message.key,
            )
            for message in messages
        ]

        async def prepare(equipment: _Equipment) -> None:
            await self._declare(equipment, group)

        if await self._send(outgoing, prepare):
            raise ServiceUnavailable(f"RabbitMQ has no queue for {group.name}")

    async def send(self, mailbox: Mailbox[T], messages: Sequence[T]) -> None:
        """As `Broker.send`: what finds no queue vanishes."""
        queue = self._topology.mailbox_queue(mailbox)
        await self._send(
            [Outgoing(_DIRECTLY, queue, self._encoder.encode(message), "") for message in messages],
            _nothing,
        )

    async def _equip(self, connection: AbstractConnection) -> _Equipment:
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        underlay = await channel.get_underlay_channel()
        assert isinstance(underlay, Channel), "the one implementation"
        # With an alarm of memory or disk RabbitMQ accepts connections, but no messages.
        await _probe(underlay, self._settings.publish_timeout)
        equipment = _Equipment(connection, underlay, set())
        underlay.closing.add_done_callback(lambda _: self._link.fail(equipment))
        return equipment

    async def _send(
        self,
        messages: list[Outgoing],
        prepare: Callable[[_Equipment], Awaitable[None]],
    ) -> list[Outgoing]:
        """Publish messages; return those that found no queue.

        `prepare` declares what they are for, in case it is not known to be there.
        """
        loop = asyncio.get_running_loop()
        patience_ends = loop.time() + self._settings.patience
        # The first caller publishes first, also when it has to wait for a connection. The time
        # spent waiting for the turn counts: else each would wait as long as all before it together.
        async with self._turn:
            equipment = await self._link.get(max(0.0, patience_ends - loop.time()))
            try:
                await prepare(equipment)
            except StartupError as error:  # a queue was lost, and made otherwise by somebody
                raise ServiceUnavailable(str(error)) from error
            tasks = [
                asyncio.create_task(_publish(equipment.channel, message)) for message in messages
            ]
        self._under_way.update(tasks)
        try:
            _, late = await asyncio.wait(tasks, timeout=self._settings.publish_timeout)
        finally:
            for task in tasks:
                task.cancel()
            self._under_way.difference_update(tasks)
        if late:
            self._link.fail(equipment)
            raise ServiceUnavailable(
                f"RabbitMQ did not confirm within {self._settings.publish_timeout:g} s"
            )
        returned = []
        failure: ServiceUnavailable | None = None
        for task, message in zip(tasks, messages, strict=True):
            outcome = _outcome_of(task)
            if outcome is _Unroutable:
                returned.append(message)
            elif isinstance(outcome, ServiceUnavailable):
                failure = failure or outcome
        if failure is not None:
            raise failure
        if returned:
            equipment.declared.clear()
        return returned

    async def _declare(self, equipment: _Equipment, group: Group[Any]) -> None:
        if group.name not in equipment.declared:
            await self._within_timeout(
                equipment, self._topology.declare(equipment.connection, group)
            )
            equipment.declared.update((group.name, _mark(group.topic)))

    async def _declare_topic(self, equipment: _Equipment, topic: Topic[Any]) -> None:
        """Make sure of the exchange: RabbitMQ closes the channel of who publishes to none."""
        if _mark(topic) not in equipment.declared:
            await self._within_timeout(
                equipment, self._topology.declare_topic(equipment.connection, topic)
            )
            equipment.declared.add(_mark(topic))

    async def _within_timeout(self, equipment: _Equipment, declaring: Awaitable[None]) -> None:
        """Wait for an answer; a connection that gives none in time is given up."""
        try:
            async with asyncio.timeout(self._settings.publish_timeout):
                with unavailable_when_away():
                    await declaring
        except TimeoutError:
            self._link.fail(equipment)
            raise ServiceUnavailable(
                f"RabbitMQ gave no answer within {self._settings.publish_timeout:g} s"
            ) from None


class _Unroutable:
    """The outcome of a message that no queue takes."""


def _mark(topic: Topic[Any]) -> str:
    """Return what stands for a topic among what was declared."""
    return f"topic {topic.name}"


async def _nothing(_: _Equipment) -> None:
    return


async def _publish(channel: Channel, message: Outgoing) -> None:
    await channel.basic_publish(
        message.body,
        exchange=message.exchange,
        routing_key=message.routing_key,
        properties=Basic.Properties(
            content_type=_JSON,
            delivery_mode=_PERSISTENT,
            headers={KEY: message.key},
            message_id=new_id(),
        ),
        mandatory=True,
        wait=False,
    )


async def _probe(channel: Channel, within: float) -> None:
    """Return when RabbitMQ confirms a message, one that goes nowhere."""
    async with asyncio.timeout(within):
        await channel.basic_publish(b"", routing_key=_NOWHERE, wait=False)


def _outcome_of(task: asyncio.Task[None]) -> type[_Unroutable] | ServiceUnavailable | None:
    """Return what became of a message; None when it is confirmed."""
    if task.cancelled():
        return ServiceUnavailable("the connection to RabbitMQ was lost")
    error = task.exception()
    if error is None:
        return None
    if isinstance(error, PublishError):
        return _Unroutable
    if isinstance(error, DeliveryError):
        return ServiceUnavailable("a queue in RabbitMQ is full; try again later")
    if isinstance(error, (*AWAY, AMQPException)):
        return ServiceUnavailable(f"RabbitMQ is away: {describe(error)}")
    return ServiceUnavailable(f"RabbitMQ did not confirm: {describe(error)}")
