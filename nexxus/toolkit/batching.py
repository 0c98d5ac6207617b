"""Batching: combines the calls of many callers into one request.

A request to a server, or a transaction, costs much more than one more item in it. So the calls that
arrive while all senders are busy, or in the same turn of the event loop, are sent as one batch: the
higher the load, the cheaper each item. No call waits for others to arrive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Asked(Generic[Item, Result]):
    """The items of one caller, and the future for their results."""

    __slots__ = ("items", "outcome")

    def __init__(self, items: Sequence[Item], outcome: asyncio.Future[Sequence[Result]]) -> None:
        self.items = items
        self.outcome = outcome


class Batcher(Generic[Item, Result]):
    """Gathers items for `send`, which runs at most `width` times at once.

    `send` is given the items of one or more callers, at most `largest` of them, and returns one
    result per item in their order. If it raises, each caller of that batch gets the exception.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        width: int = 1,
        largest: int,
    ) -> None:
        self._send = send
        self._width = width
        self._largest = largest
        self._waiting: deque[_Asked[Item, Result]] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._active = 0
        """Senders that will still look at what waits; `_senders` also has some that ended."""

    async def ask(self, items: Sequence[Item]) -> Sequence[Result]:
        """Return the results for these items, in their order. They are sent in one batch.

        A caller with more than `largest` items has a batch of its own. A caller that is cancelled
        before its items were sent takes them back. Raises `ConnectionAbortedError` if the batcher
        is closed meanwhile.
        """
        outcome: asyncio.Future[Sequence[Result]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(items, outcome))
        if self._active < self._width:
            self._active += 1
            sender = asyncio.create_task(self._run(), name="batch")
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await outcome

    async def close(self) -> None:
        """Cancel the calls under way and the waiting ones."""
        senders = list(self._senders)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        while self._waiting:
            _fail(self._waiting.popleft(), _closed())

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._send_batch(batch)
        finally:
            self._active -= 1

    async def _send_batch(self, batch: Sequence[_Asked[Item, Result]]) -> None:
        try:
            results = await self._send([item for asked in batch for item in asked.items])
        except BaseException as error:
            for asked in batch:
                _fail(asked, error if isinstance(error, Exception) else _closed())
            if not isinstance(error, Exception):
                raise
            return
        start = 0
        for asked in batch:
            end = start + len(asked.items)
            if not asked.outcome.done():
                asked.outcome.set_result(results[start:end])
            start = end

    def _take(self) -> list[_Asked[Item, Result]]:
        batch: list[_Asked[Item, Result]] = []
        room = self._largest
        while self._waiting and (not batch or len(self._waiting[0].items) <= room):
            asked = self._waiting.popleft()
            if not asked.outcome.done():
                batch.append(asked)
                room -= len(asked.items)
        return batch


def _fail(asked: _Asked[Item, Result], error: Exception) -> None:
    if not asked.outcome.done():
        asked.outcome.set_exception(error)


def _closed() -> Exception:
    return ConnectionAbortedError("the connection was closed meanwhile")
