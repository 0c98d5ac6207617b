"""What a consumer has received from a server and hands out; for any adapter that receives ahead.

A server delivers in order; what goes wrong happens here: a message is retried after a delay, and
must come before any later one of its key; a source of messages is lost, and what it delivered is
no longer this consumer's. So a delivery is in one of these places:

- `fresh`: received, never handed out;
- `returned`: given back and due again; a heap, since these are older than anything fresh;
- `parked`, by key: waits for its delay, or behind a delivery of its key that does;
- `out`: handed out, not settled yet;

or it is gone: settled, or its source was dropped.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any

_SEQUENCE = attrgetter("sequence")


class Delivery:
    """One message as a source delivered it. `tag` is what the source knows it by."""

    __slots__ = ("attempts", "due", "key", "payload", "sequence", "source", "tag")

    def __init__(
        self, source: Hashable, tag: int, key: str, payload: Any, attempts: int = 0
    ) -> None:
        self.source = source
        self.tag = tag
        self.key = key
        self.payload = payload
        self.attempts = attempts
        self.sequence = 0
        self.due = 0.0


class DeliveryBuffer:
    """Keeps deliveries in order per key. All methods are for the one event loop.

    At most `prefetch` deliveries are out at once. `awake` is set whenever there may be something
    new to take.
    """

    def __init__(self, prefetch: int) -> None:
        self.awake = asyncio.Event()
        self._prefetch = prefetch
        self._sequence = 0
        self._fresh: deque[Delivery] = deque()
        self._returned: list[tuple[int, Delivery]] = []
        self._parked: dict[str, _Parked] = {}
        self._out: dict[int, Delivery] = {}
        self._ending: set[Hashable] = set()

    def add(self, delivery: Delivery) -> None:
        """Append what a source has delivered; nothing more of one that ends."""
        if delivery.source in self._ending:
            return
        self._sequence += 1
        delivery.sequence = self._sequence
        self._fresh.append(delivery)
        self.awake.set()

    def take(self, limit: int) -> list[Delivery]:
        """Hand out up to `limit` deliveries, oldest first; none when there is nothing to take."""
        batch: list[Delivery] = []
        room = min(limit, self._prefetch - len(self._out))
        while len(batch) < room and (delivery := self._next()) is not None:
            self._out[delivery.sequence] = delivery
            batch.append(delivery)
        return batch

    def out(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Those that are still out: neither settled nor given back nor lost."""
        return [each for each in deliveries if each.sequence in self._out]

    def finish(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """These are done with; those of them that were still out."""
        finished = [each for each in deliveries if self._out.pop(each.sequence, None) is not None]
        if finished:
            self.awake.set()
        return finished

    def retry(self, deliveries: Iterable[Delivery], delay: float) -> None:
        """Hand these out again after `delay` seconds, before any later one of their keys.

        Those of a source that ends are given back to it, that is, forgotten.
        """
        due = asyncio.get_running_loop().time() + delay if delay > 0 else 0.0
        returned = [each for each in self.finish(deliveries) if each.source not in self._ending]
        for delivery in returned:
            delivery.attempts += 1
            delivery.due = due
            insort(
                self._parked.setdefault(delivery.key, _Parked()).waiting, delivery, key=_SEQUENCE
            )
        for key in {delivery.key for delivery in returned}:
            self._release_due(key)

    def is_out(self, source: Hashable) -> bool:
        """Whether any delivery of a source is out."""
        return any(delivery.source is source for delivery in self._out.values())

    def end(self, source: Hashable) -> None:
        """Hand out no more of a source; what is out already may still be settled."""
        self._ending.add(source)
        self._forget_waiting(source)

    def drop(self, source: Hashable) -> None:
        """Forget a source and all that it has delivered; settling that does nothing."""
        self._forget_waiting(source)
        out = self._out.items()
        self._out = {number: each for number, each in out if each.source is not source}
        self._ending.discard(source)
        self.awake.set()

    def close(self) -> None:
        """Forget everything, and wake whoever waits."""
        for parked in self._parked.values():
            parked.cancel_timer()
        self._fresh.clear()
        self._returned.clear()
        self._parked.clear()
        self._out.clear()
        self._ending.clear()
        self.awake.set()

    def _forget_waiting(self, source: Hashable) -> None:
        self._fresh = deque(each for each in self._fresh if each.source is not source)
        self._returned = [each for each in self._returned if each[1].source is not source]
        heapify(self._returned)
        for key, parked in list(self._parked.items()):
            parked.waiting = [each for each in parked.waiting if each.source is not source]
            if parked.waiting:
                self._release_due(key)
            else:
                parked.cancel_timer()
                del self._parked[key]

    def _next(self) -> Delivery | None:
        """The oldest delivery that may be handed out; parks those that must wait."""
        while True:
            if self._returned:
                delivery = heappop(self._returned)[1]
            elif self._fresh:
                delivery = self._fresh.popleft()
            else:
                return None
            parked = self._parked.get(delivery.key)
            if parked is None or parked.waiting[0].sequence > delivery.sequence:
                return delivery
            insort(parked.waiting, delivery, key=_SEQUENCE)

    def _release_due(self, key: str) -> None:
        """Give back what is due of a key, and look again when the next is."""
        parked = self._parked[key]
        parked.cancel_timer()
        loop = asyncio.get_running_loop()
        now, due = loop.time(), 0
        while due < len(parked.waiting) and parked.waiting[due].due <= now:
            due += 1
        self._give_back(parked.waiting[:due])
        del parked.waiting[:due]
        if parked.waiting:
            parked.timer = loop.call_at(parked.waiting[0].due, self._release_due, key)
        else:
            del self._parked[key]

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            heappush(self._returned, (delivery.sequence, delivery))
        if deliveries:
            self.awake.set()


class _Parked:
    """The deliveries of one key that wait for the first of them to be due."""

    __slots__ = ("timer", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Delivery] = []
        self.timer: asyncio.TimerHandle | None = None

    def cancel_timer(self) -> None:
        """Do not wake when the first delivery is due."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
