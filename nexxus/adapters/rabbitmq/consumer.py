"""A consumer: its place in line for every partition, and what it has taken."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
from aio_pika.abc import AbstractConnection

from nexxus.adapters.rabbitmq.dead_letters import buried
from nexxus.adapters.rabbitmq.link import AWAY, Link, unavailable_when_away
from nexxus.adapters.rabbitmq.publisher import Publisher
from nexxus.adapters.rabbitmq.roster import GONE_AFTER, Roster
from nexxus.adapters.rabbitmq.subscription import Poison, Subscription
from nexxus.adapters.rabbitmq.topology import Topology, assign, waiting
from nexxus.domain.objects import new_id
from nexxus.errors import MessagesLost, ServiceUnavailable, StartupError
from nexxus.interfaces.broker import Consumer, Queue, QueueKind, Received
from nexxus.toolkit.delivery_buffer import Delivery, DeliveryBuffer

T = TypeVar("T")

_LOGGER: Final = logging.getLogger(__name__)
_TRY_AGAIN: Final = 0.5
_LOOK_EVERY: Final = 1.0
_MISPLACED_FOR: Final = GONE_AFTER + 2.0
"""Seconds for which a partition may be with the wrong consumer: its owner may just have died."""


class RabbitMQConsumer(Consumer[T]):
    """Gets in line for every partition of a queue; see docs/decisions/partitions-on-rabbitmq.md.

    While RabbitMQ is away `take` waits. What was taken before comes again afterwards, and
    settling, retrying or burying the former copy does nothing.
    """

    def __init__(
        self,
        queue: Queue[T],
        *,
        prefetch: int,
        patience: float,
        link: Link[AbstractConnection],
        topology: Topology,
        publisher: Publisher,
    ) -> None:
        self._queue = queue
        self._prefetch = prefetch
        self._patience = patience
        self._link = link
        self._topology = topology
        self._publisher = publisher
        self._buffer = DeliveryBuffer(prefetch)
        self._decode = msgspec.json.Decoder(queue.payload).decode
        self._poison: deque[Poison] = deque()
        self._poisoned = asyncio.Event()
        self._member = new_id()
        self._roster = Roster(topology, queue.name, self._member, self._look_again)
        self._look = asyncio.Event()
        self._given_back = asyncio.Event()
        self._in_line = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._has_lost = False
        self.is_closed = False

    async def open(self) -> None:
        """Get in line.

        Raises `ServiceUnavailable` when a node's own queue cannot be had now; for a partitioned
        one, which others keep meanwhile, the consumer goes on trying.
        """
        task = self._task = asyncio.create_task(self._run())
        task.add_done_callback(lambda _: self._buffer.awake.set())
        try:
            async with asyncio.timeout(self._patience):
                await _first_of(task, self._in_line)
        except TimeoutError:
            if self._queue.kind is QueueKind.NODE:
                await self.close()
                raise ServiceUnavailable("RabbitMQ is away") from None
        self._check_running()

    # The interface

    async def take(self, limit: int) -> list[Received[T]]:
        while not self.is_closed:
            # What was received in this turn of the loop makes one batch.
            await asyncio.sleep(0)
            if self._has_lost:
                self._has_lost = False
                raise MessagesLost(f"{self._queue.name} expired while RabbitMQ was out of reach")
            batch = self._buffer.take(limit)
            if batch:
                return [Received(each.key, each.payload, each.attempts, each) for each in batch]
            self._check_running()
            self._buffer.awake.clear()
            await self._buffer.awake.wait()
        raise ServiceUnavailable("this consumer of RabbitMQ is closed")

    def _check_running(self) -> None:
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            error = task.exception()
            raise StartupError(f"{self._queue.name} cannot be consumed: {error}") from error

    async def settle(self, messages: Sequence[Received[T]]) -> None:
        deliveries = self._buffer.out(message.handle for message in messages)
        try:
            await self._acknowledge(deliveries)
        finally:
            # Only now: a place is not left before RabbitMQ knows what was done there.
            self._buffer.finish(deliveries)
            self._given_back.set()

    async def retry(self, messages: Sequence[Received[T]], delay: float) -> None:
        self._buffer.retry((message.handle for message in messages), delay)
        self._given_back.set()

    async def bury(self, messages: Sequence[Received[T]], reason: str) -> None:
        for message in messages:
            body = msgspec.json.encode(message.payload)
            routed_to = self._topology.queue_for(self._queue, message.key)
            letter = buried(
                routed_to, self._queue.name, message.key, body,
                attempts=message.attempts, reason=reason,
            )  # fmt: skip
            try:
                await self._publisher.publish_dead_letter(letter)
            except ServiceUnavailable as error:
                _LOGGER.warning("a message could not be buried, it comes again: %s", error)
                await self.retry([message], _TRY_AGAIN)
            else:
                await self.settle([message])

    async def close(self) -> None:
        self.is_closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._buffer.close()

    # Staying in line

    async def _run(self) -> None:
        while True:
            connection = await self._connection()
            try:
                await self._serve(connection)
            except* (ServiceUnavailable, *AWAY) as group:
                _LOGGER.warning("consuming %s was interrupted: %s", self._queue.name, _first(group))
            await asyncio.sleep(_TRY_AGAIN)

    async def _connection(self) -> AbstractConnection:
        while True:
            with suppress(ServiceUnavailable):
                return await self._link.get()
            await asyncio.sleep(_TRY_AGAIN)

    async def _serve(self, connection: AbstractConnection) -> None:
        """Receive until the connection is lost; cancelled, leave the line in an orderly way."""
        with unavailable_when_away():
            if self._queue.kind is QueueKind.NODE and self._in_line.is_set():
                await self._look_for_loss(connection)
            await self._topology.declare(connection, self._queue)
        places = [
            _Place(name, partition)
            for partition, name in enumerate(self._topology.queues_of(self._queue))
        ]
        async with asyncio.TaskGroup() as group:
            for place in places:
                group.create_task(self._stay_in_line(connection, place))
            group.create_task(self._bury_poison())
            await asyncio.gather(*(place.taken.wait() for place in places))
            self._in_line.set()
            if self._queue.kind is QueueKind.PARTITIONED:
                await self._share(connection, places, group)

    async def _look_for_loss(self, connection: AbstractConnection) -> None:
        """Notice that our queue is no longer there: it expires when we are away for long."""
        [name] = self._topology.queues_of(self._queue)
        if await waiting(connection, name) is None:
            self._has_lost = True
            self._buffer.awake.set()

    async def _share(
        self, connection: AbstractConnection, places: list[_Place], group: asyncio.TaskGroup
    ) -> None:
        """Give way to others where it is their turn, for as long as we are in line.

        We greet only now: whoever gives way for us finds us in line before him.
        """
        with unavailable_when_away():
            await self._roster.join(connection)
        group.create_task(self._roster.run())
        try:
            while True:
                owners = assign(len(places), self._roster.members)
                for place in places:
                    self._give_way(place, owners[place.partition])
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._look.wait()
                self._look.clear()
        finally:
            with suppress(*AWAY):
                await self._roster.leave()

    def _give_way(self, place: _Place, owner: str) -> None:
        """Have a place left, to be taken again behind its owner, where that is needed."""
        changed, place.owner = owner != place.owner, owner
        subscription = place.subscription
        now = asyncio.get_running_loop().time()
        if changed or subscription is None or not subscription.has_delivered:
            place.misplaced_since = now
        if owner == self._member or subscription is None or place.leave.is_set():
            return
        if changed or now - place.misplaced_since > _MISPLACED_FOR:
            self._buffer.end(subscription)
            place.leave.set()

    async def _stay_in_line(self, connection: AbstractConnection, place: _Place) -> None:
        while True:
            subscription = Subscription(place.queue, self._buffer, self._decode, self._take_poison)
            try:
                with unavailable_when_away():
                    await subscription.open(connection, self._prefetch)
                place.take(subscription)
                await self._until_it_must_go(place, subscription)
            finally:
                place.subscription = None
                await subscription.close()

    async def _until_it_must_go(self, place: _Place, subscription: Subscription) -> None:
        """Wait until others shall have the place, and nothing of it is under way here.

        Raises `ServiceUnavailable` when RabbitMQ has ended the subscription.
        """
        lost = asyncio.create_task(subscription.lost.wait())
        try:
            await _first_of(lost, place.leave)
            while not lost.done() and self._buffer.is_out(subscription):
                self._given_back.clear()
                await _first_of(lost, self._given_back)
        finally:
            lost.cancel()
        if subscription.lost.is_set():
            raise ServiceUnavailable(f"RabbitMQ has ended the subscription to {place.queue}")

    def _look_again(self) -> None:
        self._look.set()

    # Settling

    async def _acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        by_source: dict[Subscription, list[int]] = defaultdict(list)
        for delivery in deliveries:
            assert isinstance(delivery.source, Subscription)
            by_source[delivery.source].append(delivery.tag)
        for subscription, tags in by_source.items():
            await subscription.settle(tags)

    def _take_poison(self, poison: Poison) -> None:
        self._poison.append(poison)
        self._poisoned.set()

    async def _bury_poison(self) -> None:
        """Set aside what cannot be decoded: nobody could do anything with it, now or later."""
        self._poison.clear()
        while True:
            self._poisoned.clear()
            while self._poison:
                poison = self._poison[0]
                letter = buried(
                    poison.subscription.queue, self._queue.name, poison.key, poison.body,
                    attempts=poison.attempts, reason=f"cannot be decoded: {poison.reason}",
                )  # fmt: skip
                await self._publisher.publish_dead_letter(letter)
                _LOGGER.error(
                    "a message in %s cannot be decoded and is set aside: %s",
                    poison.subscription.queue, poison.reason,
                )  # fmt: skip
                await poison.subscription.settle([poison.tag])
                self._poison.popleft()
            await self._poisoned.wait()


class _Place:
    """A place in the line for one of the queue's partitions."""

    def __init__(self, queue: str, partition: int) -> None:
        self.queue = queue
        self.partition = partition
        self.subscription: Subscription | None = None
        self.owner = ""
        """Who should have the partition, as far as we know."""
        self.misplaced_since = 0.0
        """Since when it is ours and should not be, in the loop's time, where that is so."""
        self.taken = asyncio.Event()
        self.leave = asyncio.Event()

    def take(self, subscription: Subscription) -> None:
        """We are in line, behind all who were before."""
        self.subscription = subscription
        self.leave.clear()
        self.taken.set()


async def _first_of(task: asyncio.Task[Any], event: asyncio.Event) -> None:
    """Return when the task is done or the event is set."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of the errors of a group; the others are its consequences."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
