"""A backlog: items that wait for delivery, in order per key, some of them with a delay.

Most items are added to `fresh` and taken from there. The rest is for retries, with one rule: **an
item that waits for its delay blocks the later items of its key, and no others.** An item can be in

- `fresh`: added, and not taken yet;
- `returned`: given back and due again; a heap, because these are older than all fresh items;
- `parked`, by key: waiting for its delay, or for an earlier item of its key.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

_SEQUENCE: Callable[[Any], int] = attrgetter("sequence")


class Waiting(Protocol):
    """An item of a backlog.

    `sequence` is set by the backlog; it is lower for items that were added earlier. `due` is in the
    loop's time, 0 for immediately.
    """

    key: str
    sequence: int
    due: float


E = TypeVar("E", bound=Waiting)


class Backlog(Generic[E]):
    """Items in the order of their addition. All methods are for one event loop.

    `on_return` is called when items can be taken again: they were given back, or were parked and
    are due.
    """

    def __init__(self, on_return: Callable[[], None]) -> None:
        self._on_return = on_return
        self._sequence = 0
        self._fresh: deque[E] = deque()
        self._returned: list[tuple[int, E]] = []
        self._parked: dict[str, _Parked[E]] = {}

    def add(self, items: Sequence[E]) -> None:
        """Append new items."""
        sequence = self._sequence
        for item in items:
            sequence += 1
            item.sequence = sequence
        self._sequence = sequence
        self._fresh.extend(items)

    def next(self) -> E | None:
        """Take the oldest item that need not wait, or None; park items that must wait."""
        while True:
            if self._returned:
                item = heappop(self._returned)[1]
            elif self._fresh:
                item = self._fresh.popleft()
            else:
                return None
            parked = self._parked.get(item.key)
            if parked is None or parked.items[0].sequence > item.sequence:
                return item
            insort(parked.items, item, key=_SEQUENCE)

    def park(self, items: Sequence[E]) -> None:
        """Hold items until they are due, and the later ones of their keys after them."""
        for item in items:
            insort(self._parked.setdefault(item.key, _Parked()).items, item, key=_SEQUENCE)
        for key in {item.key for item in items}:
            self._release_due(key)

    def give_back(self, items: Iterable[E]) -> None:
        """Put items back into their former places."""
        returned = [(item.sequence, item) for item in items]
        for each in returned:
            heappush(self._returned, each)
        if returned:
            self._on_return()

    def keep(self, is_wanted: Callable[[E], bool]) -> None:
        """Drop all other items."""
        self._fresh = deque(filter(is_wanted, self._fresh))
        self._returned = [each for each in self._returned if is_wanted(each[1])]
        heapify(self._returned)
        for key, parked in list(self._parked.items()):
            parked.items = list(filter(is_wanted, parked.items))
            self._release_due(key)

    def clear(self) -> list[E]:
        """Drop all items and return them, in no particular order."""
        forgotten = [*self._fresh, *(item for _, item in self._returned)]
        for parked in self._parked.values():
            parked.cancel_timer()
            forgotten += parked.items
        self._parked.clear()
        self._fresh.clear()
        self._returned.clear()
        return forgotten

    def _release_due(self, key: str) -> None:
        """Give back what is due of a key, and look again when the next is."""
        parked = self._parked[key]
        parked.cancel_timer()
        loop = asyncio.get_running_loop()
        now, due = loop.time(), 0
        while due < len(parked.items) and parked.items[due].due <= now:
            due += 1
        released = parked.items[:due]
        del parked.items[:due]
        if parked.items:
            parked.timer = loop.call_at(parked.items[0].due, self._release_due, key)
        else:
            del self._parked[key]
        self.give_back(released)


class _Parked(Generic[E]):
    """The items of one key that wait for the first of them to be due."""

    __slots__ = ("items", "timer")

    def __init__(self) -> None:
        self.items: list[E] = []
        self.timer: asyncio.TimerHandle | None = None

    def cancel_timer(self) -> None:
        """Do not wake when the first item is due."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
