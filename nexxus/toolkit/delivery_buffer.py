"""What a consumer has received from a server and hands out; for any adapter that receives ahead.

A server delivers in order; what goes wrong happens here: a message is retried after a delay, and
must come before any later one of its key; a source of messages is lost, and what it delivered is
no longer this consumer's. So a delivery is in the backlog, or `out`, that is, handed out and not
settled yet; or it is gone: settled, or its source was dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from typing import Any

from nexxus.toolkit.backlog import Backlog


class BufferedMessage:
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
        self._backlog: Backlog[BufferedMessage] = Backlog(on_return=self.awake.set)
        self._out: dict[int, BufferedMessage] = {}
        self._ending: set[Hashable] = set()

    def add(self, delivery: BufferedMessage) -> None:
        """Append what a source has delivered; nothing more of one that ends."""
        if delivery.source in self._ending:
            return
        self._backlog.add((delivery,))
        self.awake.set()

    def take(self, limit: int) -> list[BufferedMessage]:
        """Hand out up to `limit` deliveries, oldest first; none when there is nothing to take."""
        batch: list[BufferedMessage] = []
        room = min(limit, self._prefetch - len(self._out))
        while len(batch) < room and (delivery := self._backlog.next()) is not None:
            self._out[delivery.sequence] = delivery
            batch.append(delivery)
        return batch

    def out(self, deliveries: Iterable[BufferedMessage]) -> list[BufferedMessage]:
        """Those that are still out: neither settled nor given back nor lost."""
        return [each for each in deliveries if each.sequence in self._out]

    def finish(self, deliveries: Iterable[BufferedMessage]) -> list[BufferedMessage]:
        """These are done with; those of them that were still out."""
        finished = [each for each in deliveries if self._out.pop(each.sequence, None) is not None]
        if finished:
            self.awake.set()
        return finished

    def retry(
        self, deliveries: Iterable[BufferedMessage], delay: float, *, failed: bool = True
    ) -> None:
        """Hand these out again after `delay` seconds, before any later one of their keys.

        Those of a source that ends are given back to it, that is, forgotten.
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
        """Hand out no more of a source; what is out already may still be settled."""
        self._ending.add(source)
        self._backlog.keep(lambda each: each.source is not source)

    def drop(self, source: Hashable) -> None:
        """Forget a source and all that it has delivered; settling that does nothing."""
        self._backlog.keep(lambda each: each.source is not source)
        out = self._out.items()
        self._out = {number: each for number, each in out if each.source is not source}
        self._ending.discard(source)
        self.awake.set()

    def close(self) -> None:
        """Forget everything, and wake whoever waits."""
        self._backlog.clear()
        self._out.clear()
        self._ending.clear()
        self.awake.set()
