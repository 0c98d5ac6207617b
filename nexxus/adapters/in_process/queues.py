"""One queue of the in-process broker, and its consumers.

Nothing is encoded and nothing is copied: an entry goes from the publisher to the consumer as it
is. One rule is kept: **the entries of a key are delivered in the order of their sequence numbers,
and while one consumer has some of them unsettled, to no other.** Where an entry can be:

- the queue's backlog: not delivered, or given back;
- a consumer's `reserved`: found by another consumer while this one holds its key;
- a consumer's `unsettled`: delivered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Consumer, Message, Received
from nexxus.toolkit.backlog import Backlog

T = TypeVar("T")


class Confirmation:
    """What one publisher waits for: that all its entries are settled."""

    __slots__ = ("abandoned", "future", "remaining")

    def __init__(self, entries: int) -> None:
        self.remaining = entries
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.abandoned = False
        """The publisher was told that nothing was taken; what was never delivered shall not be."""

    def settle_one(self) -> None:
        """One more entry is settled."""
        self.remaining -= 1
        if not self.remaining and not self.future.done():
            self.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell the publisher that it did not work out."""
        if not self.future.done():
            self.future.set_exception(error)


class Entry:
    """A message in the queue. `due` is in the loop's time; 0 means at once."""

    __slots__ = ("attempts", "confirmation", "due", "key", "payload", "sequence")

    def __init__(self, key: str, payload: Any, confirmation: Confirmation | None) -> None:
        self.key = key
        self.payload = payload
        self.confirmation = confirmation
        self.attempts = 0
        self.due = 0.0
        self.sequence = 0

    @property
    def is_abandoned(self) -> bool:
        """Its publisher gave up before it was ever delivered."""
        return self.confirmation is not None and self.confirmation.abandoned and not self.attempts


class LocalQueue:
    """A bounded queue that keeps order per key. All methods are for the one event loop."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        """How many entries are not settled, delivered ones included."""
        self.consumers: list[LocalConsumer[Any]] = []
        self._limit = limit
        self._backlog: Backlog[Entry] = Backlog(on_return=self.wake)
        self._blocked: OrderedDict[asyncio.Future[None], list[Entry]] = OrderedDict()
        """What waits to be let in, oldest first, and how its publishers learn of that."""

    # Publishing

    @property
    def is_full(self) -> bool:
        """Whether a publisher has to wait; never true while only an oversized batch is new."""
        return self.size >= self._limit

    @property
    def depth(self) -> int:
        """How many entries wait to be delivered."""
        return self.size - sum(len(consumer.unsettled) for consumer in self.consumers)

    @staticmethod
    def entries_of(
        messages: Sequence[Message[Any]], confirmation: Confirmation | None
    ) -> list[Entry]:
        """Entries for messages."""
        return [Entry(message.key, message.payload, confirmation) for message in messages]

    def put(self, entries: list[Entry]) -> None:
        """Append entries and wake the consumers."""
        self._backlog.add(entries)
        self.size += len(entries)
        self.wake()

    async def put_when_there_is_room(self, entries: list[Entry], patience: float) -> None:
        """Append entries in the order of the calls; `ServiceUnavailable` if it takes too long."""
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._blocked[admitted] = entries
        try:
            # Not `asyncio.timeout`: it may report a time-out of what has just been admitted.
            await asyncio.wait((admitted,), timeout=patience)
            if not admitted.done():
                raise ServiceUnavailable(
                    f"the queue is full: {self.size} messages wait; try again later"
                )
            admitted.result()
        finally:
            self._blocked.pop(admitted, None)

    def admit(self) -> None:
        """Let in the publishers that there is room for by now."""
        while self._blocked and self.size < self._limit:
            admitted, entries = self._blocked.popitem(last=False)
            self.put(entries)
            admitted.set_result(None)

    # Delivering

    def wake(self) -> None:
        """Let the consumers look again."""
        for consumer in self.consumers:
            consumer.awake.set()

    def deliver(self, consumer: LocalConsumer[T], limit: int) -> list[Received[T]]:
        """Hand up to `limit` entries to a consumer, oldest first."""
        batch: list[Received[T]] = []
        while len(batch) < limit and (entry := self._next_for(consumer)) is not None:
            if entry.is_abandoned:
                consumer.let_go(entry.key)
                self.finish(entry)
                self.admit()  # at once: what is let in may be all that this consumer gets
                continue
            consumer.unsettled[entry.sequence] = entry
            batch.append(Received(entry.key, entry.payload, entry.attempts, entry))
        return batch

    def _next_for(self, consumer: LocalConsumer[Any]) -> Entry | None:
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

    def finish(self, entry: Entry) -> None:
        """An entry is done with. Call `admit` after the last of a batch."""
        self.size -= 1
        if entry.confirmation is not None:
            entry.confirmation.settle_one()

    def park(self, entries: Sequence[Entry]) -> None:
        """Keep entries until they are due, and the later ones of their keys behind them."""
        self._backlog.park(entries)

    def give_back(self, entries: Sequence[Entry]) -> None:
        """Put entries back to be delivered again, in their old places."""
        self._backlog.give_back(entries)

    def close(self, error: str | None) -> None:
        """Forget everything. Waiting publishers get the error, or with None vanish in peace."""
        self._backlog.clear()
        self.size = 0
        for admitted in self._blocked:
            if error is None:
                admitted.set_result(None)
            else:
                admitted.set_exception(ServiceUnavailable(error))
        self._blocked.clear()
        for consumer in self.consumers:
            consumer.shut()
        self.consumers.clear()


class LocalConsumer(Consumer[T]):
    """A consumer of a `LocalQueue`. What it settles after its end is ignored: it comes again."""

    def __init__(
        self,
        queue: LocalQueue,
        prefetch: int,
        *,
        on_bury: Callable[[Entry, str], None],
        on_close: Callable[[], None],
    ) -> None:
        self.awake = asyncio.Event()
        self.unsettled: dict[int, Entry] = {}
        self.reserved: deque[Entry] = deque()
        self.held: dict[str, int] = {}
        """Key → how many of its entries are unsettled or reserved here."""
        self._queue = queue
        self._prefetch = prefetch
        self._on_bury = on_bury
        self._on_close = on_close
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
        self._queue.admit()

    async def retry(self, messages: Sequence[Received[T]], delay: float) -> None:
        due = asyncio.get_running_loop().time() + delay if delay > 0 else 0.0
        entries = self._take_back(messages)
        for entry in entries:
            entry.attempts += 1
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
        self._queue.admit()
        if accepted:
            await self.retry(accepted, 1.0)

    async def bury(self, messages: Sequence[Received[T]], reason: str) -> None:
        for entry in self._take_back(messages):
            if entry.confirmation is not None:
                entry.confirmation.fail(
                    ServiceUnavailable(f"the write could not be processed: {reason}")
                )
            self._on_bury(entry, reason)
            self._queue.finish(entry)
        self._queue.admit()

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
        self._on_close()

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

    def _empty_reserved(self) -> list[Entry]:
        entries = list(self.reserved)
        self.reserved.clear()
        for entry in entries:
            self.let_go(entry.key)
        return entries

    def _take_back(self, messages: Sequence[Received[T]]) -> list[Entry]:
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
