"""The delivery buffer: messages that a consumer has received from a server in advance (prefetched).

The server delivers in order. This buffer handles the rest: a message that is retried after a delay
must come before the later ones of its key, and when a source of messages is lost, its messages no
longer belong to this consumer. A delivery is in the backlog, or it is `out` (handed out and not
settled), or it is gone (settled, or its source was dropped).
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from typing import Any

from nexxus.toolkit.backlog import Backlog


class BufferedMessage:
    """One message as a source delivered it. `tag` is its identifier at the source."""

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
    """Keeps deliveries in order per key. All methods are for one event loop.

    At most `prefetch` deliveries are out at the same time. `awake` is set when there may be
    something to take.
    """

    def __init__(self, prefetch: int) -> None:
        self.awake = asyncio.Event()
        self._prefetch = prefetch
        self._backlog: Backlog[BufferedMessage] = Backlog(on_return=self.awake.set)
        self._out: dict[int, BufferedMessage] = {}
        self._ending: set[Hashable] = set()

    def add(self, delivery: BufferedMessage) -> None:
        """Append a delivery. It is ignored if its source ends."""
        if delivery.source in self._ending:
            return
        self._backlog.add((delivery,))
        self.awake.set()

    def take(self, limit: int) -> list[BufferedMessage]:
        """Hand out up to `limit` deliveries, oldest first; an empty list if there are none."""
        batch: list[BufferedMessage] = []
        room = min(limit, self._prefetch - len(self._out))
        while len(batch) < room and (delivery := self._backlog.next()) is not None:
            self._out[delivery.sequence] = delivery
            batch.append(delivery)
        return batch

    def out(self, deliveries: Iterable[BufferedMessage]) -> list[BufferedMessage]:
        """Return those that are out: neither settled nor given back nor lost."""
        return [each for each in deliveries if each.sequence in self._out]

    def finish(self, deliveries: Iterable[BufferedMessage]) -> list[BufferedMessage]:
        """Remove settled deliveries. Returns those that were out until now."""
        finished = [each for each in deliveries if self._out.pop(each.sequence, None) is not None]
        if finished:
            self.awake.set()
        return finished

    def retry(
        self, deliveries: Iterable[BufferedMessage], delay: float, *, failed: bool = True
    ) -> None:
        """Hand these out again after `delay` seconds, before any later one of their keys.

        Deliveries of a source that ends are dropped: the source delivers them elsewhere.
        """
        due = asyncio.get_running_loop().time() + delay if delay > 0 else 0.0
        returned = [each for each in self.finish(deliveries) if each.source not in self._ending]
        for delivery in returned:
            delivery.attempts += failed
            delivery.due = due
        self._backlog.park(returned)

    def is_out(self, source: Hashable) -> bool:
        """Whether any delivery of a source is out."""
        return any(delivery.source is source for delivery in self._out.values())

    def end(self, source: Hashable) -> None:
        """Stop handing out deliveries of a source; those that are out may still be settled."""
        self._ending.add(source)
        self._backlog.keep(lambda each: each.source is not source)

    def drop(self, source: Hashable) -> None:
        """Drop a source and all its deliveries; settling those has no effect."""
        self._backlog.keep(lambda each: each.source is not source)
        out = self._out.items()
        self._out = {number: each for number, each in out if each.source is not source}
        self._ending.discard(source)
        self.awake.set()

    def close(self) -> None:
        """Drop everything, and wake waiting callers."""
        self._backlog.clear()
        self._out.clear()
        self._ending.clear()
        self.awake.set()
