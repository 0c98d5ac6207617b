"""The send queue of a connection over ASGI, whose server accepts one message at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class SendQueue:
    """Holds what has yet to be sent, in order. Iterating over it takes everything out until `end`.

    `put` refuses data when more than `limit` bytes are waiting, of which the peer has read nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_ended = False
        self._has_work = asyncio.Event()

    def put(self, data: bytes) -> bool:
        """Add data to be sent; returns False, and adds nothing, if too much is waiting."""
        if self._size > self._limit:
            return False
        self._add(data)
        return True

    def end(self, last: bytes = b"") -> None:
        """Send `last` whatever is waiting, and nothing after that."""
        if last:
            self._add(last)
        self._is_ended = True
        self._has_work.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Wait for data and yield it; each chunk counts as waiting until the next is asked for."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                for data in waiting:
                    yield data
                    self._size -= len(data)
            if self._is_ended:
                return

    def _add(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._has_work.set()
