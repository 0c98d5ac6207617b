"""Publishing: many messages in flight, each confirmed, none lost silently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
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
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Message, Queue, QueueKind

T = TypeVar("T")

KEY: Final = "nexxus-key"
"""The header with a message's key."""

_PERSISTENT: Final = 2
_JSON: Final = "application/json"
_NOWHERE: Final = "nexxus.nowhere"
_ANSWER_WITHIN: Final = 2.0


class Outgoing(NamedTuple):
    """A message as RabbitMQ gets it; `queue` is the name there, `ours` that of our queue."""

    queue: str
    body: bytes
    headers: Mapping[str, Any]
    ours: str


class _Equipment(NamedTuple):
    connection: AbstractConnection
    channel: Channel
    declared: set[str]


class Publisher:
    """Publishes on a connection of its own: RabbitMQ may stop reading from a publisher's."""

    def __init__(self, settings: RabbitMQSettings, topology: Topology, name: str) -> None:
        self._settings = settings
        self._topology = topology
        self._link = Link(settings, f"{name} publishes", self._equip)
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._encoder = msgspec.json.Encoder()

    async def open(self) -> None:
        """Connect; see `Link.open`."""
        await self._link.open()

    async def close(self) -> None:
        """Finish what is being published, as long as it may take at most, and let go."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._settings.publish_timeout)
        await self._link.close()

    async def ping(self) -> None:
        """Return if RabbitMQ takes and confirms a message now; else `ServiceUnavailable`."""
        equipment = await self._link.get(self._settings.patience)
        with unavailable_when_away():
            await _probe(equipment.channel, _ANSWER_WITHIN)

    async def connection(self) -> AbstractConnection:
        """The connection, for what is neither published nor consumed."""
        return (await self._link.get(self._settings.patience)).connection

    async def declare(self, queue: Queue[Any]) -> None:
        """Make a queue where it is not; `StartupError` when it is there and is another."""
        equipment = await self._link.get(self._settings.patience)
        await self._declare(equipment, queue)

    async def publish(self, queue: Queue[T], messages: Sequence[Message[T]]) -> None:
        """As `Broker.publish`."""
        outgoing = [
            Outgoing(
                self._topology.queue_for(queue, message.key),
                self._encoder.encode(message.payload),
                {KEY: message.key},
                queue.name,
            )
            for message in messages
        ]
        returned = await self._send(queue, outgoing)
        if not returned or queue.kind is QueueKind.NODE:
            return
        # Somebody has deleted the queue, or RabbitMQ has lost it: once more, into a new one.
        if await self._send(queue, returned):
            raise ServiceUnavailable(f"RabbitMQ has no queue for {queue.name}")

    async def publish_dead_letter(self, message: Outgoing) -> None:
        """Put a message into the queue for dead letters; returns when that is confirmed."""
        letter = message._replace(queue=self._topology.dead_letter_queue)
        if await self._send(None, [letter]):
            equipment = await self._link.get(self._settings.patience)
            declaring = self._topology.declare_dead_letters(equipment.connection)
            await self._within_timeout(equipment, declaring)
            await self.publish_again(letter, may_vanish=False)

    async def publish_again(self, message: Outgoing, *, may_vanish: bool) -> None:
        """Put a message where it says; that this is no longer there may be no error."""
        if await self._send(None, [message]) and not may_vanish:
            raise ServiceUnavailable(f"RabbitMQ has no queue {message.queue}")

    async def _equip(self, connection: AbstractConnection) -> _Equipment:
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        underlay = await channel.get_underlay_channel()
        assert isinstance(underlay, Channel), "the one implementation"
        # With an alarm of memory or disk RabbitMQ accepts connections, but takes nothing.
        await _probe(underlay, self._settings.publish_timeout)
        equipment = _Equipment(connection, underlay, set())
        underlay.closing.add_done_callback(lambda _: self._link.fail(equipment))
        return equipment

    async def _send(self, queue: Queue[Any] | None, messages: list[Outgoing]) -> list[Outgoing]:
        """Publish to the queues that the messages name; those that found no queue."""
        loop = asyncio.get_running_loop()
        patience_ends = loop.time() + self._settings.patience
        # Whoever comes first publishes first, also where he must wait to be connected. What he
        # waited for his turn counts: else each would wait as long as all before him together.
        async with self._turn:
            equipment = await self._link.get(max(0.0, patience_ends - loop.time()))
            if queue is not None and queue.kind is not QueueKind.NODE:
                await self._declare(equipment, queue)
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
            outcome = _outcome_of(task, message)
            if outcome is _Unroutable:
                returned.append(message)
            elif isinstance(outcome, ServiceUnavailable):
                failure = failure or outcome
        if failure is not None:
            raise failure
        if returned and queue is not None:
            equipment.declared.discard(queue.name)
        return returned

    async def _declare(self, equipment: _Equipment, queue: Queue[Any]) -> None:
        if queue.name in equipment.declared:
            return
        await self._within_timeout(equipment, self._topology.declare(equipment.connection, queue))
        equipment.declared.add(queue.name)

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
    """The verdict on a message whose queue does not exist."""


async def _publish(channel: Channel, message: Outgoing) -> None:
    await channel.basic_publish(
        message.body,
        routing_key=message.queue,
        properties=Basic.Properties(
            content_type=_JSON,
            delivery_mode=_PERSISTENT,
            headers=dict(message.headers),
            message_id=new_id(),
            message_type=message.ours,
        ),
        mandatory=True,
        wait=False,
    )


async def _probe(channel: Channel, within: float) -> None:
    """Return when RabbitMQ confirms a message, one that goes nowhere."""
    async with asyncio.timeout(within):
        await channel.basic_publish(b"", routing_key=_NOWHERE, wait=False)


def _outcome_of(
    task: asyncio.Task[None], message: Outgoing
) -> type[_Unroutable] | ServiceUnavailable | None:
    """What became of a message; None when it is confirmed."""
    if task.cancelled():
        return ServiceUnavailable("the connection to RabbitMQ was lost")
    error = task.exception()
    if error is None:
        return None
    if isinstance(error, PublishError):
        return _Unroutable
    if isinstance(error, DeliveryError):
        return ServiceUnavailable(f"the queue {message.queue} is full; try again later")
    if isinstance(error, (*AWAY, AMQPException)):
        return ServiceUnavailable(f"RabbitMQ is away: {describe(error)}")
    raise error
