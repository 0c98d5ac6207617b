"""Mailboxes in memory: one reader, in the order of sending."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from nexxus.adapters.in_process.broker.room import Room
from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.broker import Receiver

T = TypeVar("T")


class LocalMailbox(Receiver[T]):
    """A mailbox and its reader in one. It ends when the reader closes it."""

    def __init__(self, limit: int, *, on_close: Callable[[], None]) -> None:
        self.room = Room(limit)
        self._messages: deque[T] = deque()
        self._awake = asyncio.Event()
        self._on_close = on_close
        self._is_closed = False

    def put(self, messages: Sequence[T]) -> asyncio.Future[None] | None:
        """Append messages; while there is no room, return a future that is done when there was."""
        return self.room.enter(len(messages), lambda: self._append(messages))

    async def take(self, limit: int) -> list[T]:
        # A reader that never has to wait would starve the loop, and get small batches.
        await asyncio.sleep(0)
        while not self._is_closed:
            if self._messages:
                count = min(limit, len(self._messages))
                batch = [self._messages.popleft() for _ in range(count)]
                self.room.leave(count)
                self.room.admit()
                return batch
            self._awake.clear()
            await self._awake.wait()
        raise ServiceUnavailable("this mailbox of the in-process broker is closed")

    async def close(self) -> None:
        if not self._is_closed:
            self.shut(None)
            self._on_close()

    def shut(self, error: Exception | None) -> None:
        """End the mailbox. Waiting senders get the error; without one they return."""
        self._is_closed = True
        self._messages.clear()
        self.room.close(error)
        self._awake.set()

    def _append(self, messages: Sequence[T]) -> None:
        self._messages.extend(messages)
        self._awake.set()
