"""The queue of one group of the in-process broker, and the group's consumers.

Nothing is encoded and nothing is copied: a payload goes from the publisher to the consumer as it
is. One rule holds: **the entries of a key are delivered in the order of their sequence numbers, and
while one consumer has some of them unsettled, to no other.** Where an entry can be:

- the queue's backlog: not delivered, or given back;
- a consumer's `reserved`: found by another consumer while this one holds its key;
- a consumer's `unsettled`: delivered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar

from nexxus.adapters.in_process.broker.room import Room
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Consumer, Message, Received
from nexxus.toolkit.backlog import Backlog

T = TypeVar("T")


class Confirmation:
    """The confirmation of one publisher, which waits until all its entries are settled."""

    __slots__ = ("abandoned", "future", "remaining")

    def __init__(self, entries: int) -> None:
        self.remaining = entries
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.abandoned = False
        """Whether the publisher gave up, so that undelivered entries are not delivered."""

    def settle_one(self) -> None:
        """One more entry is settled."""
        self.remaining -= 1
        if not self.remaining and not self.future.done():
            self.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Raise an error at the publisher."""
        if not self.future.done():
            self.future.set_exception(error)


class QueueEntry:
    """A message in one group's queue. `due` is in the loop's time; 0 means at once."""

    __slots__ = ("attempts", "confirmation", "due", "key", "payload", "sequence", "was_delivered")

    def __init__(self, key: str, payload: Any, confirmation: Confirmation | None) -> None:
        self.key = key
        self.payload = payload
        self.confirmation = confirmation
        self.attempts = 0
        self.due = 0.0
        self.sequence = 0
        self.was_delivered = False

    @property
    def is_abandoned(self) -> bool:
        """Whether its publisher gave up before it was first delivered.

        An entry that was delivered may have had effects, so it must be finished.
        """
        return (
            self.confirmation is not None and self.confirmation.abandoned and not self.was_delivered
        )


class GroupQueue:
    """A bounded queue that keeps order per key. All methods are for the one event loop.

    Its room counts the entries that are not settled, delivered ones included.
    """

    def __init__(self, limit: int) -> None:
        self.room = Room(limit)
        self.consumers: list[LocalConsumer[Any]] = []
        self._backlog: Backlog[QueueEntry] = Backlog(on_return=self.wake)

    # Publishing

    @property
    def depth(self) -> int:
        """How many entries wait to be delivered."""
        return self.room.size - sum(len(consumer.unsettled) for consumer in self.consumers)

    def put(
        self, messages: Sequence[Message[Any]], confirmation: Confirmation | None
    ) -> asyncio.Future[None] | None:
        """Append messages; while there is no room, return a future that is done when there was."""
        entries = [QueueEntry(message.key, message.payload, confirmation) for message in messages]
        return self.room.enter(len(entries), lambda: self._append(entries))

    def _append(self, entries: list[QueueEntry]) -> None:
        self._backlog.add(entries)
        self.wake()

    # Delivering

    def wake(self) -> None:
        """Wake the consumers."""
        for consumer in self.consumers:
            consumer.awake.set()

    def deliver(self, consumer: LocalConsumer[T], limit: int) -> list[Received[T]]:
        """Deliver up to `limit` entries to a consumer, oldest first."""
        batch: list[Received[T]] = []
        while len(batch) < limit and (entry := self._next_for(consumer)) is not None:
            if entry.is_abandoned:
                consumer.let_go(entry.key)
                self.finish(entry)
                self.room.admit()  # what is let in may be all that this consumer gets
                continue
            entry.was_delivered = True
            consumer.unsettled[entry.sequence] = entry
            is_waiting = entry.confirmation is not None
            batch.append(Received(entry.key, entry.payload, entry.attempts, is_waiting, entry))
        return batch

    def _next_for(self, consumer: LocalConsumer[Any]) -> QueueEntry | None:
        """The oldest entry that the consumer may have, its key held; puts others where they
        belong."""
        if consumer.reserved:
            return consumer.reserved.popleft()
        while (entry := self._backlog.next()) is not None:
            holder = self._holder_of(entry.key, consumer)
            holder.hold(entry.key)
            if holder is consumer:
                return entry
            holder.reserved.append(entry)
            holder.awake.set()
        return None

    def _holder_of(self, key: str, otherwise: LocalConsumer[Any]) -> LocalConsumer[Any]:
        for consumer in self.consumers:
            if key in consumer.held:
                return consumer
        return otherwise

    # Giving back

    def finish(self, entry: QueueEntry) -> None:
        """Take out a settled entry. Let the room admit others after the last of a batch."""
        self.room.leave()
        if entry.confirmation is not None:
            entry.confirmation.settle_one()

    def park(self, entries: Sequence[QueueEntry]) -> None:
        """Keep entries until they are due, and the later ones of their keys behind them."""
        self._backlog.park(entries)

    def give_back(self, entries: Sequence[QueueEntry]) -> None:
        """Put entries back to be delivered again, in their old places."""
        self._backlog.give_back(entries)

    def close(self, error: Exception) -> None:
        """Forget everything; publishers that wait get the error."""
        forgotten = self._backlog.clear()
        self.room.close(error)
        for consumer in self.consumers:
            forgotten += [*consumer.unsettled.values(), *consumer.reserved]
            consumer.shut()
        self.consumers.clear()
        for entry in forgotten:
            if entry.confirmation is not None:
                entry.confirmation.fail(error)


class LocalConsumer(Consumer[T]):
    """A consumer of a `GroupQueue`. After its end, settling is ignored: entries come again."""

    def __init__(self, queue: GroupQueue, prefetch: int) -> None:
        self.awake = asyncio.Event()
        self.unsettled: dict[int, QueueEntry] = {}
        self.reserved: deque[QueueEntry] = deque()
        self.held: dict[str, int] = {}
        """Key → how many of its entries are unsettled or reserved here."""
        self._queue = queue
        self._prefetch = prefetch
        self._is_closed = False

    async def take(self, limit: int) -> list[Received[T]]:
        # A consumer that never has to wait would starve the loop, and get small batches.
        await asyncio.sleep(0)
        while not self._is_closed:
            room = min(limit, self._prefetch - len(self.unsettled))
            batch = self._queue.deliver(self, room)
            if batch:
                return batch
            self.awake.clear()
            await self.awake.wait()
        raise ServiceUnavailable("this consumer of the in-process broker is closed")

    async def settle(self, messages: Sequence[Received[T]]) -> None:
        for entry in self._take_back(messages):
            self._queue.finish(entry)
        self._queue.room.admit()

    async def retry(
        self, messages: Sequence[Received[T]], delay: float, *, failed: bool = True
    ) -> None:
        due = asyncio.get_running_loop().time() + delay if delay > 0 else 0.0
        entries = self._take_back(messages)
        for entry in entries:
            entry.attempts += failed
            entry.due = due
        # What is reserved may be of the same keys, and must not overtake.
        reserved = self._empty_reserved()
        self._queue.park(entries)
        self._queue.give_back(reserved)

    async def refuse(self, messages: Sequence[Received[T]], error: Exception) -> None:
        accepted = []
        for message in messages:
            confirmation = message.handle.confirmation
            if confirmation is None:
                accepted.append(message)
                continue
            for entry in self._take_back((message,)):
                confirmation.fail(error)
                self._queue.finish(entry)
        self._queue.room.admit()
        if accepted:
            await self.retry(accepted, 1.0, failed=False)

    async def close(self) -> None:
        if self._is_closed:
            return
        self.shut()
        self._queue.consumers.remove(self)
        for entry in self.unsettled.values():
            entry.attempts += 1
            entry.due = 0.0
        self._queue.give_back([*self.unsettled.values(), *self._empty_reserved()])
        self.unsettled.clear()

    def shut(self) -> None:
        """No more is taken here; a pending `take` raises `ServiceUnavailable`."""
        self._is_closed = True
        self.awake.set()

    def hold(self, key: str) -> None:
        """One more entry of the key is for this consumer alone."""
        self.held[key] = self.held.get(key, 0) + 1

    def let_go(self, key: str) -> None:
        """One entry of the key less."""
        count = self.held.pop(key)
        if count > 1:
            self.held[key] = count - 1

    def _empty_reserved(self) -> list[QueueEntry]:
        entries = list(self.reserved)
        self.reserved.clear()
        for entry in entries:
            self.let_go(entry.key)
        return entries

    def _take_back(self, messages: Sequence[Received[T]]) -> list[QueueEntry]:
        """The entries of those messages that are still this consumer's to decide about."""
        entries = []
        if not self._is_closed:
            for message in messages:
                entry = self.unsettled.pop(message.handle.sequence, None)
                if entry is not None:
                    self.let_go(entry.key)
                    entries.append(entry)
            self.awake.set()
        return entries
