"""Room: the number of messages in a queue, and the publishers that wait for space."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from nexxus.errors import ServiceUnavailable


class Room:
    """A bounded number of messages. Waiting publishers are admitted in the order of arrival.

    All methods are for the one event loop. `size` counts the messages inside.
    """

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._line: OrderedDict[asyncio.Future[None], tuple[int, Callable[[], None]]] = (
            OrderedDict()
        )

    @property
    def is_full(self) -> bool:
        """Whether a new batch has to wait. A batch may exceed the limit if it finds some room."""
        return self.size >= self._limit

    def enter(self, count: int, put: Callable[[], None]) -> asyncio.Future[None] | None:
        """Let `count` messages in by calling `put`: now, or when the returned future is done."""
        if not self.is_full:
            self.size += count
            put()
            return None
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line[admitted] = (count, put)
        return admitted

    def leave(self, count: int = 1) -> None:
        """Take `count` messages out. Call `admit` after the last of a batch."""
        self.size -= count

    def admit(self) -> None:
        """Admit waiting publishers for which there is space."""
        while self._line and not self.is_full:
            admitted, (count, put) = self._line.popitem(last=False)
            self.size += count
            put()
            admitted.set_result(None)

    def give_up(self, admitted: asyncio.Future[None]) -> None:
        """Stop waiting. Does nothing for a publisher that was admitted."""
        self._line.pop(admitted, None)

    def close(self, error: Exception | None) -> None:
        """Remove all messages and waiting publishers, which get the error unless it is None."""
        self.size = 0
        for admitted in self._line:
            if error is None:
                admitted.set_result(None)
            else:
                admitted.set_exception(error)
        self._line.clear()


async def wait_to_enter(
    waiting: Iterable[tuple[Room, asyncio.Future[None]]], patience: float
) -> None:
    """Wait until all are let in; raise `ServiceUnavailable` after `patience` seconds."""
    line = list(waiting)
    try:
        # Not `asyncio.timeout`: it may report a time-out of what has just been admitted.
        await asyncio.wait([admitted for _, admitted in line], timeout=patience)
        for room, admitted in line:
            if not admitted.done():
                raise ServiceUnavailable(
                    f"the queue is full: {room.size} messages wait; try again later"
                )
            admitted.result()
    finally:
        for room, admitted in line:
            room.give_up(admitted)
