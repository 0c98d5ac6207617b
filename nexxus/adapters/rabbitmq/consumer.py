"""A consumer: its place in line for every partition of its group, and what it has taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from aio_pika.abc import AbstractConnection

from nexxus.adapters.rabbitmq.link import Link, unavailable_when_away
from nexxus.adapters.rabbitmq.reading import TRY_AGAIN, Reading, first_of
from nexxus.adapters.rabbitmq.roster import GONE_AFTER, Roster
from nexxus.adapters.rabbitmq.subscription import Poison, QueueSubscription, acknowledge
from nexxus.adapters.rabbitmq.topology import Topology
from nexxus.domain.objects import new_id
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Consumer, Group, Received, SetAside, Undecodable
from nexxus.interfaces.logger import Logger
from nexxus.toolkit.partitions import assign

T = TypeVar("T")

_LOOK_EVERY: Final = 1.0
_MISPLACED_FOR: Final = GONE_AFTER + 2.0
"""Seconds for which a partition may be with the wrong consumer: its owner may just have died."""


class RabbitMQConsumer(Reading, Consumer[T]):
    """Gets in line for every partition of a group; see docs/decisions/partitions-on-rabbitmq.md.

    While RabbitMQ is away `take` waits. What was taken before comes again afterwards, and
    settling or retrying the former copy does nothing.
    """

    def __init__(
        self,
        group: Group[T],
        *,
        prefetch: int,
        link: Link[AbstractConnection],
        topology: Topology,
        set_aside: SetAside,
        logger: Logger,
    ) -> None:
        super().__init__(group.name, prefetch=prefetch, link=link, logger=logger)
        self._group = group
        self._prefetch = prefetch
        self._topology = topology
        self._set_aside = set_aside
        self._decode = msgspec.json.Decoder(group.topic.payload).decode
        self._poison: deque[Poison] = deque()
        self._poisoned = asyncio.Event()
        self._member = new_id()
        self._look = asyncio.Event()
        self._places: list[_Place] = []
        self._roster = Roster(topology, group.name, self._member, self._look.set, logger)

    # The interface

    async def take(self, limit: int) -> list[Received[T]]:
        while True:
            # What was received in this turn of the loop makes one batch.
            await asyncio.sleep(0)
            if self.is_closed:
                raise ServiceUnavailable("this consumer of RabbitMQ is closed")
            batch = self.buffer.take(limit)
            if batch:
                return [
                    Received(each.key, each.payload, each.attempts, handle=each) for each in batch
                ]
            self.check_running()
            self.buffer.awake.clear()
            await self.buffer.awake.wait()

    async def settle(self, messages: Sequence[Received[T]]) -> None:
        deliveries = self.buffer.out(message.handle for message in messages)
        try:
            await acknowledge(deliveries)
        finally:
            # Only now: a place is not left before RabbitMQ knows what was done there.
            self.buffer.finish(deliveries)
            self._note_given_back()

    async def retry(
        self, messages: Sequence[Received[T]], delay: float, *, failed: bool = True
    ) -> None:
        self.buffer.retry((message.handle for message in messages), delay, failed=failed)
        self._note_given_back()

    async def close(self) -> None:
        await self.stop()

    def _note_given_back(self) -> None:
        """Let those places look that are to be left once nothing of them is out."""
        for place in self._places:
            place.given_back.set()

    # Staying in line

    async def serve(self, connection: AbstractConnection) -> None:
        """Receive until the connection is lost; when cancelled, leave the line in order."""
        with unavailable_when_away():
            await self._topology.declare(connection, self._group)
        places = self._places = [
            _Place(name, partition)
            for partition, name in enumerate(self._topology.queues_of(self._group))
        ]
        async with asyncio.TaskGroup() as tasks:
            for place in places:
                tasks.create_task(self._stay_in_line(connection, place))
            tasks.create_task(self._set_poison_aside())
            await asyncio.gather(*(place.taken.wait() for place in places))
            self.is_reading.set()
            await self._share(connection, places, tasks)

    async def _share(
        self, connection: AbstractConnection, places: list[_Place], tasks: asyncio.TaskGroup
    ) -> None:
        """Give way to others where it is their turn, for as long as we are in line.

        We greet only now: those who give way for us then find us in line before them.
        """
        try:
            with unavailable_when_away():
                await self._roster.join(connection)
            tasks.create_task(self._roster.run())
            while True:
                owners = assign(len(places), self._roster.members)
                for place in places:
                    self._give_way(place, owners[place.partition])
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._look.wait()
                self._look.clear()
        finally:
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
            self.buffer.end(subscription)
            place.leave.set()

    async def _stay_in_line(self, connection: AbstractConnection, place: _Place) -> None:
        while True:
            subscription = QueueSubscription(
                place.queue, self.buffer, self._decode, self._take_poison
            )
            try:
                with unavailable_when_away():
                    await subscription.open(connection, self._prefetch)
                place.take(subscription)
                await self._until_it_must_go(place, subscription)
            finally:
                place.subscription = None
                await subscription.close()

    async def _until_it_must_go(self, place: _Place, subscription: QueueSubscription) -> None:
        """Wait until others shall have the place, and nothing of it is under way here.

        Raises `ServiceUnavailable` when RabbitMQ has ended the subscription.
        """
        lost = asyncio.create_task(subscription.lost.wait())
        try:
            await first_of(lost, place.leave)
            while not lost.done() and self.buffer.is_out(subscription):
                place.given_back.clear()
                await first_of(lost, place.given_back)
        finally:
            lost.cancel()
        if subscription.lost.is_set():
            raise ServiceUnavailable(f"RabbitMQ has ended the subscription to {place.queue}")

    def _take_poison(self, poison: Poison) -> None:
        self._poison.append(poison)
        self._poisoned.set()

    async def _set_poison_aside(self) -> None:
        """Set aside what cannot be decoded: it could not be handled now or later."""
        self._poison.clear()
        while True:
            self._poisoned.clear()
            while self._poison:
                poison = self._poison[0]
                try:
                    await self._set_aside(
                        Undecodable(poison.key, poison.body, poison.attempts, poison.reason)
                    )
                except ServiceUnavailable:
                    await asyncio.sleep(TRY_AGAIN)
                    continue
                await poison.subscription.settle([poison.tag])
                self._poison.popleft()
            await self._poisoned.wait()


class _Place:
    """A place in the line for one of the queue's partitions."""

    def __init__(self, queue: str, partition: int) -> None:
        self.queue = queue
        self.partition = partition
        self.subscription: QueueSubscription | None = None
        self.owner = ""
        """Who should have the partition, as far as we know."""
        self.misplaced_since = 0.0
        """Since when it is ours and should not be, in the loop's time, where that is so."""
        self.taken = asyncio.Event()
        self.leave = asyncio.Event()
        self.given_back = asyncio.Event()

    def take(self, subscription: QueueSubscription) -> None:
        """We are in line, behind all who were before."""
        self.subscription = subscription
        self.leave.clear()
        self.taken.set()
